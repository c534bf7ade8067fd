// Small random models: written to a file, opened through the ABI like any other, and kept as doubles for the oracle.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../include/powerinfer.h"
#include "test.h"

namespace powerinfer_test {

struct TinyOptions {
  powerinfer_model_shape shape;
  uint32_t matrix_type;       // of every matrix but the position embedding; vectors are F32
  bool tied = false;          // output is the token embedding
  bool biases = false;        // every bias the shape allows
  bool head_norms = false;    // q_norm, k_norm
  bool learned_positions = false;
  bool down_by_rows = true;
  bool down_by_neuron = false;  // with down_by_rows only for types without blocks: the same values
  bool down_repacked = false;   // of down, which is then in the file but bound only if down_by_rows
};

struct Tensor {
  uint32_t role, block, type, width, rows;
  uint64_t offset_bytes;
  bool bound;                   // false: only there to be repacked
  std::vector<double> weights;  // [rows, width]
};

constexpr uint32_t kLearnedPositions = 80;

class TinyModel {
 public:
  TinyModel(const TinyOptions& options, uint64_t seed);
  ~TinyModel();
  TinyModel(const TinyModel&) = delete;

  // Null if the model has no such tensor.
  const Tensor* find(uint32_t role, uint32_t block = 0) const;
  // Bytes of the file that a role takes, over all blocks.
  double role_bytes(uint32_t role) const;

  TinyOptions options;
  std::vector<Tensor> tensors;
  std::vector<float> inverse_frequencies;
  std::string path;           // the tensors
  std::string repacked_path;  // every block's repacked down, one after the other
  double repacked_bytes = 0;  // of one block

 private:
  void add(Random& random, uint32_t role, uint32_t block, uint32_t type, uint32_t width, uint32_t rows, bool bound = true);
  void add_by_neuron(uint32_t block);
  void repack();

  std::vector<uint8_t> bytes_;
};

// A model bound and ready on a CPU of its own; everything is closed with it.
class OpenModel {
 public:
  OpenModel(const TinyModel& tiny, uint32_t thread_count, uint32_t isa);
  ~OpenModel();
  OpenModel(const OpenModel&) = delete;

  uint32_t open_cache(uint32_t position_count, uint32_t cache_type) const;
  // embed, then every block with the FFN dense or as `ffn_flags` and `active` say, then the logits of all rows f32[rows, vocabulary_size].
  std::vector<float> run(const std::vector<powerinfer_row>& rows, uint32_t ffn_flags = 0, const uint32_t* active = nullptr) const;
  // Tokens 0 .. count - 1 of one cache, in batches of `batch_rows`.
  std::vector<float> prefill(const std::vector<uint32_t>& tokens, uint32_t batch_rows, uint32_t cache_type, uint32_t ffn_flags = 0) const;
  powerinfer_counters counters() const;

  uint32_t cpu = 0;
  uint32_t model = 0;

 private:
  const TinyModel& tiny_;
};

// A small llama-like shape to start from.
powerinfer_model_shape small_shape();
std::vector<uint32_t> random_tokens(Random& random, uint32_t count, uint32_t vocabulary_size);
// Every instruction set this CPU runs.
std::vector<uint32_t> isas_here();
std::string last_error();

}  // namespace powerinfer_test

#define CHECK_STATUS(call, status) CHECK_EQUAL((call), powerinfer_status{status})
#define CHECK_OK(call)                                                                                             \
  do {                                                                                                             \
    const powerinfer_status check_status = (call);                                                                 \
    if (check_status != POWERINFER_OK)                                                                             \
      ::powerinfer_test::fail(__FILE__, __LINE__, #call " is " + std::to_string(check_status) + ": " + ::powerinfer_test::last_error()); \
  } while (0)
