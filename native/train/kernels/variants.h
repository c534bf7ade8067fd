// Which kernels of training exist, for dispatch.cc and the kernels' own files.
#pragma once
#include "../../cpu/kernels/target.h"
#include "../kernels.h"

namespace powerinfer {

void gemm_tile_scalar(const GemmTile& tile);
constexpr uint32_t kGemmRowsScalar = 4, kGemmColumnsScalar = 8;

#if POWERINFER_X86
void gemm_tile_avx2(const GemmTile& tile);
constexpr uint32_t kGemmRowsAvx2 = 6, kGemmColumnsAvx2 = 16;
void gemm_tile_avx512(const GemmTile& tile);
constexpr uint32_t kGemmRowsAvx512 = 14, kGemmColumnsAvx512 = 32;
#endif

}  // namespace powerinfer
