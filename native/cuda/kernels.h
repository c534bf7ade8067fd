// What each kernel is given, and the function that launches it. One kernel a file in kernels/, its scalar definition first.
//
// - All pointers are device memory, or pinned host memory where that is said; all work goes on the stream and nothing waits.
// - f32 rows have a stride of whole 32 floats (row_stride), with zeros from the width on: kernels read them in eights and never write there.
// - Rows of a batch and of a matrix are one or more; a share without neurons launches nothing.
// - A result is a function of its inputs alone: not of the grid, not of how many other rows are in the batch, and not of what ran before.
//   Sums have one order, so that two runs give the same tokens.
#pragma once
#include <initializer_list>

#include "../include/powerinfer.h"
#include "cuda.h"
#include "matrix.h"

namespace powerinfer::cuda {

constexpr uint32_t row_stride(uint32_t width) { return (width + 31) / 32 * 32; }

// f32[row_count, width] whose row r starts at values + r * stride.
struct DeviceRows {
  float* values;
  uint32_t stride;
  uint32_t width;
};

// A KV cache in device memory: [block][key, value][kv_head][position][head_width] of POWERINFER_CACHE_x, as the CPU's (native/cpu/cache.h).
struct CacheView {
  uint8_t* bytes;
  uint32_t position_count;
  uint32_t type;
};

// Rows of the batch: powerinfer_row, with the cache's place in the table of views instead of its number.
using BatchRow = powerinfer_row;

// ---- embed.cu: x[r] = embedding[token] (+ positions[position + offset]) -------------------------------------------------
struct Embed {
  DeviceMatrix tokens;
  DeviceMatrix positions;  // not bound: none
  uint32_t position_offset;
  const BatchRow* rows;
  uint32_t row_count;
  DeviceRows x;
};
void launch_embed(const Embed&, cudaStream_t);

// ---- norm.cu: out[r] = norm(x[rows[r]]) * weight + bias -----------------------------------------------------------------
struct Norm {
  uint32_t kind;  // POWERINFER_NORM_x
  float epsilon;
  const float* weight;  // f32[width]
  const float* bias;    // the same, or null
  DeviceRows x;
  const uint32_t* rows;  // u32[row_count], or null: 0, 1, 2, …
  uint32_t row_count;
  DeviceRows out;
};
void launch_norm(const Norm&, cudaStream_t);

// ---- multiply.cu: out[r][n] (+)= weight[n] · x[r] + bias[n], for few rows and for many -----------------------------------
struct Multiply {
  DeviceMatrix weight;
  const float* bias;  // f32[weight.rows], or null
  bool add;           // to what is there
  DeviceRows x;
  uint32_t row_count;
  float* out;  // f32[row_count, out_stride]
  uint64_t out_stride;
};
void launch_multiply(const Multiply&, cudaStream_t);
// Up to kProductsMax products with the same x: those of one type are one launch, in which small matrices fill the device together.
constexpr uint32_t kProductsMax = 3;
void launch_products(std::initializer_list<Multiply>, cudaStream_t);

// Of a head: a multiple of 8 up to this; of a Q8_0 cache, of 32.
constexpr uint32_t kHeadWidthMax = 256;

// ---- store_heads.cu: norm and rope of every head of q and k in place, then k and v into the caches ---------------------
struct StoreHeads {
  uint32_t block, head_count, kv_head_count, head_width;
  uint32_t rope, rope_width;     // POWERINFER_ROPE_x
  const float* cosines;          // f32[row_count, rope_width / 2]
  const float* sines;
  const float* q_norm;           // f32[head_width], or null
  const float* k_norm;
  float epsilon;
  const BatchRow* rows;
  uint32_t row_count;
  const CacheView* caches;
  DeviceRows q, k, v;
};
void launch_store_heads(const StoreHeads&, cudaStream_t);

// ---- attend.cu: out = softmax(q · k / √head_width) · v of every row and head, over positions 0 .. the row's own -----------
struct Attend {
  uint32_t block, head_count, kv_head_count, head_width;
  const BatchRow* rows;
  uint32_t row_count;
  uint32_t position_max;  // no row is at a later one: what the grid is made for
  const CacheView* caches;
  DeviceRows q;
  DeviceRows out;  // [head_count * head_width]
  float* scratch;  // f32[attend_scratch_floats(…)]
};
// For any batch of row_count rows over caches of position_count positions.
uint64_t attend_scratch_floats(uint32_t row_count, uint32_t head_count, uint32_t head_width, uint32_t position_count);
void launch_attend(const Attend&, cudaStream_t);

// ---- the sparse FFN of a share: neurons are numbered within the share, ascending --------------------------------------

// Neurons to compute: ids[k] for k < *count, ascending. `ids` null: all of 0 .. count_max - 1, and `count` is null too.
struct NeuronList {
  const uint32_t* ids;
  const uint32_t* count;
  uint32_t count_max;
};

// What the device counts by itself, a block: nobody else knows it.
struct Tally {
  unsigned long long candidates;   // neurons whose gate (not gated: up) was read
  unsigned long long confirmed;    // gated: of these, neurons whose up was read
  unsigned long long firing;       // neurons whose down was read
  unsigned long long activations;  // nonzero activations, over rows
};

// compact.cu: the neurons of the share that some row's set names.
struct CompactSets {
  const uint32_t* active;   // u32[row_count, words]: bit n % 32 of word n / 32 names the model's neuron n
  uint32_t words;
  uint32_t row_count;
  const uint32_t* members;  // u32[share_count], ascending: the model's number of each neuron of the share; null: the share is the whole block
  uint32_t share_count;
  uint32_t* ids;            // u32[share_count]
  uint32_t* count;
};
void launch_compact_sets(const CompactSets&, cudaStream_t);

// compact.cu: the neurons of a list whose activation is not zero in some row (a NaN is not zero).
struct CompactFiring {
  NeuronList neurons;
  const float* activation;  // f32[row_count, activation_stride]
  uint64_t activation_stride;
  uint32_t row_count;
  uint32_t* ids;
  uint32_t* count;
  Tally* tally;             // candidates, firing and activations are added; may be null
};
void launch_compact_firing(const CompactFiring&, cudaStream_t);

// gate_up.cu: activation[r][n] = f(gate[n] · x[r]) * g(up[n] · x[r] + up_bias[n]) for the listed neurons; zero in rows that do not name the neuron, and
// where confirming drops it. Neurons that are not listed are left alone.
struct GateUp {
  DeviceMatrix gate;  // not bound: the FFN is not gated
  DeviceMatrix up;
  const float* up_bias;  // f32[share_count], or null
  uint32_t gate_activation, up_activation;  // POWERINFER_ACTIVATION_x
  bool confirm;                         // up is read only of neurons whose gate is not zero in some row; thresholds count
  const float* gate_threshold;          // f32[share_count], or null: zeros only
  const float* activation_threshold;
  NeuronList neurons;
  const uint32_t* active;   // as CompactSets; null: every row wants every neuron
  uint32_t words;
  const uint32_t* members;  // as CompactSets
  DeviceRows x;
  uint32_t row_count;
  float* activation;
  uint64_t activation_stride;
  Tally* tally;             // confirmed is added, of every eight rows anew; may be null
};
void launch_gate_up(const GateUp&, cudaStream_t);

// down.cu: parts[p][r] = Σ over the listed neurons n of the p-th part of the share of activation[r][n] * down[n]. Parts are stretches of neurons, not of
// the list: what other rows list does not change how a row's sum is made.
constexpr uint32_t kDownParts = 16;
struct Down {
  DownMatrix down;
  NeuronList neurons;
  const float* activation;
  uint64_t activation_stride;
  uint32_t row_count;
  DeviceRows parts;  // [kDownParts * row_count_max rows], part p of row r at row p * part_rows + r
  uint32_t part_rows;
};
void launch_down(const Down&, cudaStream_t);

// down_dense.cu: out[r] = Σ over all neurons of the share of activation[r][n] * down[n], for many rows: every weight is decoded once for eight of them.
struct DownDense {
  DownMatrix down;
  const float* activation;
  uint64_t activation_stride;
  uint32_t row_count;
  DeviceRows out;
};
void launch_down_dense(const DownDense&, cudaStream_t);

// merge.cu: out[r] = ((Σp parts[p][r] + other[r]) + base[r]) + bias, in this order; what is null is left out.
struct Merge {
  const float* base;  // stride and width of out; may be out itself
  const float* parts; // f32[part_count][part_rows][out.stride]
  uint32_t part_count, part_rows;
  const float* other;  // f32[row_count, other_stride]: pinned host memory, of another device
  uint64_t other_stride;
  const float* bias;
  uint32_t row_count;
  DeviceRows out;  // may be pinned host memory
};
void launch_merge(const Merge&, cudaStream_t);

// ---- hand_over.cu: what other devices need of a block, to pinned host memory -----------------------------------------------
struct HandOver {
  DeviceRows x;
  uint32_t row_count;
  const uint32_t* active;  // u32[row_count, words], or null
  uint32_t words;
  float* to_hidden;        // f32[row_count, x.width], or null
  uint32_t* to_active;
  uint32_t* arrived;       // *arrived = sequence, when the rest is visible to the host
  uint32_t* sequence;      // device memory: += 1 each time
};
void launch_hand_over(const HandOver&, cudaStream_t);

// ---- predictors ----------------------------------------------------------------------------------------------------------

// mark_above.cu: bit n % 32 of active[r][n / 32] = scores[r][n] > thresholds[n]; bits from `count` on are zero.
struct MarkAbove {
  const float* scores;  // f32[row_count, score_stride]
  uint64_t score_stride;
  const float* thresholds;  // f32[count]
  uint32_t count;
  uint32_t row_count;
  uint32_t* active;  // u32[row_count, words]
  uint32_t words;
};
void launch_mark_above(const MarkAbove&, cudaStream_t);

// activate.cu: x[r][i] = f(x[r][i]); of a gated FFN x[r][i] = f(x[r][i]) * g(up[r][i]). In place, `width` columns.
struct Activate {
  float* x;
  const float* up;  // null: none
  uint64_t stride;
  uint32_t width;
  uint32_t row_count;
  uint32_t f, g;  // POWERINFER_ACTIVATION_x
};
void launch_activate(const Activate&, cudaStream_t);

// pack_signs.cu and sign_scores.cu: the score of native/predictors/sign_bits.cc, to scores.
struct PackSigns {
  DeviceRows x;
  uint32_t row_count;
  uint32_t plane_count;  // 1 to 3
  uint32_t row_bytes;    // a multiple of 32
  uint8_t* bits;         // u8[row_count, 1 + plane_count, row_bytes]: signs, then planes
  uint32_t* totals;      // u32[row_count], Σ m
  float* lengths;        // f32[row_count], √Σ m²
};
void launch_pack_signs(const PackSigns&, cudaStream_t);
struct SignScores {
  const uint8_t* signs;  // u8[neuron_count, row_bytes]
  const uint8_t* bits;
  const uint32_t* totals;
  const float* lengths;
  uint32_t plane_count, row_bytes, neuron_count, row_count;
  float* scores;
  uint64_t score_stride;
};
void launch_sign_scores(const SignScores&, cudaStream_t);

}  // namespace powerinfer::cuda
