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

using GemmTileKernel = void (*)(const GemmTile&);

// The largest tile of any instruction set.
constexpr uint32_t kGemmRowsMax = 16;
constexpr uint32_t kGemmColumnsMax = 32;

struct TrainKernels {
  GemmTileKernel gemm_tile;
  uint32_t gemm_rows;
  uint32_t gemm_columns;
};

// Those of an instruction set that this CPU has (POWERINFER_ISA_x, not AUTO).
const TrainKernels& train_kernels_for(uint32_t isa);

}  // namespace powerinfer
