// A model made on the spot: random weights whose neurons fire as often as planned, in a file that is gone when the program ends.
//
// It is a llama with ReLU. The first 32 channels of the residual stream hold a constant that no block changes. A gate row is one of the block's
// `kDirections` random directions on the other channels, and on the constant ones a bias: the neuron fires where the direction's product with the
// hidden vector, a normal value, exceeds the neuron's threshold, which is chosen for the share of tokens that it shall fire for
// (planted_activity.h). Which neuron has which rank is a random permutation of each block. Everything else is random, and so small that the
// stream's spread stays as planned up to the last block.
//
// The `low_rank` predictor that comes with it is those directions, as the file's type rounds them, and the biases: it errs only where rounding of
// activations decides.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "library.h"
#include "planted_rows.h"

namespace powerinfer_check {

struct PlantedShape {
  const char* name;
  uint32_t block_count, hidden_width, ffn_width, head_count, kv_head_count, head_width, vocabulary_size;
};
// Throws std::invalid_argument for other names.
const PlantedShape& planted_shape(const std::string& name);

struct PlantedTensor {
  uint32_t role, block;
  const PlantedType* type;  // null: f32
  uint32_t width, rows;
  uint64_t offset_bytes;

  uint64_t size_bytes() const { return type == nullptr ? uint64_t{width} * rows * sizeof(float) : type->bytes(uint64_t{width} * rows); }
};

// What low_rank is given of one block.
struct PlantedPredictor {
  std::vector<uint16_t> down;  // f16[kDirections + 1, hidden_width]
  std::vector<uint16_t> up;    // f16[ffn_width, kDirections + 1]

  uint64_t size_bytes() const { return (down.size() + up.size()) * sizeof(uint16_t); }
};

constexpr uint32_t kDirections = 63;

class PlantedModel {
 public:
  // Writes the tensors to `path`, maps them, and removes the path at once: what ends the program frees the disk.
  PlantedModel(const PlantedShape& shape, const PlantedType& type, double active_share, const std::string& path);

  powerinfer_model_shape shape;
  Handle file;
  std::vector<PlantedTensor> tensors;
  std::vector<float> inverse_frequencies;
  std::vector<double> firing_shares;                 // by rank: the same in every block
  std::vector<std::vector<uint32_t>> hottest_first;  // [block]: neurons by rank
  std::vector<PlantedPredictor> predictors;          // [block]

  uint64_t size_bytes() const;
  // Of the gate, up and down of one neuron.
  double neuron_bytes() const;
  double gate_row_bytes() const;
  double predictor_bytes() const;  // of one block
  // Of everything but neurons: what a home holds.
  double home_bytes() const;
};

// Bytes that such a model takes, without making one.
double planted_bytes(const PlantedShape& shape, const PlantedType& type);

}  // namespace powerinfer_check
