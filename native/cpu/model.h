// What is a model in memory: its shape, where its tensors lie, and the room one batch needs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "buffer.h"
#include "cache.h"
#include "cpu.h"
#include "file.h"
#include "resident.h"
#include "tensor_shape.h"

namespace powerinfer {

// A matrix read in place from a mapped file, or from a copy in memory: `rows` dot products of length `width`.
struct Matrix {
  const uint8_t* bytes = nullptr;  // null: not bound
  uint64_t row_bytes = 0;          // 0 for a matrix repacked in groups, which has no rows of its own
  uint32_t type = 0;
  uint32_t width = 0;
  uint32_t rows = 0;
  std::shared_ptr<const MappedFile> file;  // keeps the mapping alive
  const uint8_t* panels = nullptr;         // the same weights in panels (resident.h); null: none
  bool resident = false;                   // `bytes` or `panels` is a copy

  bool bound() const { return bytes != nullptr; }
};

// Norms and biases, as f32; empty: not bound.
using Vector = std::vector<float>;

inline const float* or_null(const Vector& vector) { return vector.empty() ? nullptr : vector.data(); }

struct Block {
  Vector attention_norm, attention_norm_bias;  // f32[hidden_width]
  Matrix q, k, v;                              // [hidden_width, (kv_)head_count * head_width]
  Vector q_bias, k_bias, v_bias;
  Vector q_norm, k_norm;    // f32[head_width]
  Matrix attention_output;  // [head_count * head_width, hidden_width]
  Vector attention_output_bias;
  Vector ffn_norm, ffn_norm_bias;
  Matrix gate, up;  // [hidden_width, ffn_width]
  Vector up_bias;
  Matrix down;            // [ffn_width, hidden_width]
  Matrix down_by_neuron;  // [hidden_width, ffn_width]
  Matrix down_repacked;   // repack.h
  Vector down_bias;
  Vector gate_threshold, activation_threshold;  // f32[ffn_width]: what confirming drops; empty: zeros only
};

// Activation rows as codes, for weight types that multiply those: ByteCodes and WordCodes in kernels.h.
struct Codes {
  Buffer<int8_t> bytes;         // i8[width / 32, row_count, 32]
  Buffer<float> byte_scales;    // f32[width / 32, row_count]
  Buffer<int16_t> sums;         // i16[width / 32, row_count, 2]
  Buffer<int16_t> words;        // i16[width / 32, row_count, 32]
  Buffer<float> word_scales;    // f32[width / 32, row_count]
};

inline Codes make_codes(uint64_t rows, uint64_t width) {
  const uint64_t steps = rows * (width / 32 + 1);
  return {Buffer<int8_t>(steps * 32), Buffer<float>(steps), Buffer<int16_t>(steps * 2), Buffer<int16_t>(steps * 32), Buffer<float>(steps)};
}

// What one chunk of neurons of a sparse FFN found.
struct SparseChunk {
  uint32_t candidate_count;   // neurons some row asked for
  uint32_t confirmed_count;   // of these, neurons whose second matrix was read
  uint32_t neuron_count;      // neurons with a nonzero activation in some row
  uint32_t activation_count;  // nonzero activations, over rows
};

// Adjacent rows of one cache, whose queries read its keys and values together.
struct RowBlock {
  uint32_t first_row;
  uint32_t row_count;
  uint32_t span_count;  // of the row that sees most
};
// A block has as many queries of one KV head as keep it computing while the next span is read, or one row's.
constexpr uint32_t kRowsOfBlockMax = 32;
inline uint32_t group_of(const powerinfer_model_shape& s) { return s.head_count / s.kv_head_count; }  // query heads of a KV head
inline uint32_t rows_of_block(const powerinfer_model_shape& s) { return std::max(1u, kRowsOfBlockMax / group_of(s)); }
inline uint32_t queries_of_block(const powerinfer_model_shape& s) { return rows_of_block(s) * group_of(s); }
// u32 words of one row's set of neurons.
inline uint32_t words_of(const powerinfer_model_shape& s) { return (s.ffn_width + 31) / 32; }
// Larger batches are not cut along positions: they have rows enough to share, and what is kept of every span would grow with them.
constexpr uint32_t kCutRowCountMax = 8;

// What attention over spans leaves, for a number of queries; see AttendSpan.
struct SpanSums {
  SpanSums() = default;
  SpanSums(uint64_t query_count, uint64_t head_width) : out(query_count * head_width), largest(query_count), totals(query_count) {}

  Buffer<float> out;      // f32[query_count, head_width]
  Buffer<float> largest;  // f32[query_count]
  Buffer<float> totals;   // f32[query_count]
};

// Every buffer of a batch, for row_count_max rows. Allocated once; a batch allocates nothing.
struct Workspace {
  Buffer<float> residual;    // f32[row_count, hidden_width]
  Buffer<float> block_input; // f32[row_count, hidden_width] of parallel blocks: the residual before attention
  Buffer<float> normed;      // f32[row_count, hidden_width], input of attention, later of the output matrix
  Buffer<float> ffn_input;   // f32[row_count, hidden_width]
  Buffer<float> q;           // f32[row_count, head_count * head_width]
  Buffer<float> k;           // f32[row_count, kv_head_count * head_width]
  Buffer<float> v;           // f32[row_count, kv_head_count * head_width]
  Buffer<float> attended;    // f32[row_count, head_count * head_width]
  Buffer<RowBlock> row_blocks;  // [row_count]
  Buffer<float> scores;      // f32[thread_count, queries_of_block, kSpanPositions]
  SpanSums thread_sums;      // of thread_count * 2 * queries_of_block queries
  Buffer<float> projected;   // f32[row_count, hidden_width]
  Buffer<float> cosines;     // f32[row_count, rope_width / 2]
  Buffer<float> sines;       // f32[row_count, rope_width / 2]
  Buffer<float> gated;       // f32[row_count, ffn_width], gate · x
  Buffer<float> activation;  // f32[row_count, ffn_width], f(gate · x) ⊙ g(up · x)
  Buffer<float> partial;     // f32[row_count, hidden_width], the FFN's part kept for merge
  Codes input_codes;         // of what a stage reads: widths hidden_width and head_count * head_width
  Codes activation_codes;    // width ffn_width
  Buffer<uint32_t> found_neurons;      // u32[ffn_width], each chunk's neurons at the chunk's own begin
  Buffer<uint32_t> neurons;            // u32[ffn_width], the same without gaps
  Buffer<uint32_t> active;             // u32[row_count, ceil(ffn_width / 32)], what a predictor named
  Buffer<SparseChunk> sparse_chunks;   // [ffn_width / 64, rounded up]
};

// How far the batch in progress is.
struct BatchProgress {
  uint32_t row_count = 0;  // 0: no batch was begun
  bool attended = false;   // the FFN's input holds this batch's rows
  static constexpr uint32_t kNone = ~0u;
  uint32_t partial_block = kNone;  // the block whose partial waits for merge
};

// The rows of the batch in progress.
struct Batch : BatchProgress {
  std::vector<powerinfer_row> rows;          // [row_count_max]
  std::vector<std::weak_ptr<Cache>> caches;  // [row_count_max], each row's; the caller may close one at any time
  std::vector<std::shared_ptr<Cache>> held;  // [row_count_max], the same while attend runs
  std::vector<uint64_t> keys;                // [row_count_max], scratch: (cache, position) sorted
};

struct Counters {
  double row_count = 0;
  double weight_bytes = 0;
  double ffn_bytes = 0;
  double cache_bytes = 0;
  double neuron_count = 0;
  double neuron_computed_count = 0;
};

// What the stages of batches took while the profile ran; stage_clock.h writes it.
struct StageTotals {
  double call_count = 0;
  double seconds = 0;
  double bytes = 0;  // weights and KV cache
};
struct Profile {
  bool running = false;
  StageTotals stages[POWERINFER_PHASE_COUNT][POWERINFER_STAGE_COUNT];
};

struct Model {
  // Checks the shape; fails with INVALID_ARGUMENT. Counts itself on `cpu` while it lives.
  Model(std::shared_ptr<Cpu> cpu, const powerinfer_model_shape& shape);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  uint32_t q_width() const { return shape.head_count * shape.head_width; }
  uint32_t kv_width() const { return shape.kv_head_count * shape.head_width; }

  const std::shared_ptr<Cpu> cpu;
  const powerinfer_model_shape shape;
  const uint64_t identity;  // never used twice: tells whose a cache is

  Matrix token_embedding;     // [hidden_width, vocabulary_size]
  Matrix position_embedding;  // [hidden_width, positions]
  Vector output_norm, output_norm_bias;
  Matrix output;  // [hidden_width, vocabulary_size]
  Vector output_bias;
  Vector inverse_frequencies;  // f32[rope_width / 2]
  std::vector<Block> blocks;

  ResidentMemory resident;  // of matrices that were copied
  bool ready = false;
  Workspace workspace;
  SpanSums piece_sums;             // of kCutRowCountMax rows' heads, for every span of the largest cache so far
  uint32_t piece_spans = 0;
  Batch batch;
  Counters counters;
  Profile profile;
};

// Fails with INVALID_ARGUMENT for a number that is out of range or does not fit the others; returns the shape.
powerinfer_model_shape checked_shape(const powerinfer_model_shape& shape);
// Fails with INVALID_ARGUMENT for another number of frequencies than the shape has, or one that is not finite.
void check_rope(const powerinfer_model_shape& shape, const float* inverse_frequencies, uint32_t count);

// The part of a tensor file a role is bound to.
struct TensorSource {
  std::shared_ptr<const MappedFile> file;
  uint64_t offset_bytes;
  uint32_t type;
  uint32_t width;
  uint32_t rows;
};

// Binds a tensor. Fails with INVALID_ARGUMENT or UNSUPPORTED; the model is then unchanged.
void bind_tensor(Model& model, uint32_t role, uint32_t block, const TensorSource& source);
// Copies a bound matrix into memory, as panels or row by row. Fails with INVALID_ARGUMENT if it is none or not bound; OUT_OF_MEMORY.
void make_resident(Model& model, uint32_t role, uint32_t block, bool panels);
void set_rope(Model& model, const float* inverse_frequencies, uint32_t count);
// Checks that nothing is missing and allocates the workspace. Fails with INCOMPLETE or OUT_OF_MEMORY.
void make_ready(Model& model);
// Makes room for attention over the spans of a cache with `position_count` positions.
void reserve_spans(Model& model, uint32_t position_count);

}  // namespace powerinfer
