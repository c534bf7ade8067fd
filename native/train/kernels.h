// What the kernels of training are given, and the table of those that one instruction set offers.
//
// The rules of cpu/kernels.h hold here too: a kernel only computes, on a slice of its output, and no value depends on how the work was cut.
#pragma once
#include <cstdint>

namespace powerinfer {

// c[i][j] (+)= Σk a[k][i] b[k][j], k ascending: a tile of a product whose factors were packed (gemm.cc). The factors are always whole tiles wide,
// filled up with zeros; of the sums, those inside `rows` and `columns` are written.
struct GemmTile {
  const float* a;   // f32[depth, gemm_rows]
  const float* b;   // f32[depth, gemm_columns]
  uint32_t depth;
  uint32_t rows;     // 1 … gemm_rows
  uint32_t columns;  // 1 … gemm_columns
  float* c;          // row i at c + i * c_stride
  uint64_t c_stride;
  bool adds;         // to what c holds, which is then the first term of the sum
};

// One row of scores against what really fired. Code 0: the neuron was silent; any other: it fired, and weights[code] says how much that counts.
//   loss     Σ w (log(1 + e^s) - t s),  w = weights[code], t = 1 if code > 0, else 0
//   gradient scale · w (1 / (1 + e^-s) - t), which takes the place of s
struct CrossEntropyRow {
  const uint8_t* codes;  // u8[count]
  const float* weights;  // f32[256]
  float* scores;         // f32[count]
  uint32_t count;
  float scale;
};

// A step of AdamW (Loshchilov and Hutter, arXiv:1711.05101): per parameter
//   m = β1 m + (1 - β1) g,  v = β2 v + (1 - β2) g²,  p -= rate · (m · mean_scale / (√(v · square_scale) + ε) + decay · p)
struct AdamW {
  float* parameters;
  const float* gradient;
  float* means;    // m
  float* squares;  // v
  uint64_t count;
  float rate, beta1, beta2, epsilon, decay;
  float mean_scale, square_scale;  // 1 / (1 - β^step): what the moments lack at first
};

using GemmTileKernel = void (*)(const GemmTile&);
using CrossEntropyKernel = double (*)(const CrossEntropyRow&);
using AdamWKernel = void (*)(const AdamW&);

struct TrainKernels {
  GemmTileKernel gemm_tile;
  uint32_t gemm_rows;
  uint32_t gemm_columns;
  CrossEntropyKernel cross_entropy;
  AdamWKernel adamw;
};

// Those of an instruction set that this CPU has (POWERINFER_ISA_x, not AUTO).
const TrainKernels& train_kernels_for(uint32_t isa);

}  // namespace powerinfer
