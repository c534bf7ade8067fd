// Which kernels of training exist, for dispatch.cc and the kernels' own files.
#pragma once
#include "../../cpu/kernels/target.h"
#include "../kernels.h"

namespace powerinfer {

void gemm_tile_scalar(const GemmTile& tile);
constexpr uint32_t kGemmRowsScalar = 4, kGemmColumnsScalar = 8;

double cross_entropy_scalar(const CrossEntropyRow& row);
void adamw_scalar(const AdamW& step);

#if POWERINFER_X86
void gemm_tile_avx2(const GemmTile& tile);
constexpr uint32_t kGemmRowsAvx2 = 6, kGemmColumnsAvx2 = 16;
void gemm_tile_avx512(const GemmTile& tile);
constexpr uint32_t kGemmRowsAvx512 = 14, kGemmColumnsAvx512 = 32;

double cross_entropy_avx2(const CrossEntropyRow& row);
double cross_entropy_avx512(const CrossEntropyRow& row);
void adamw_avx2(const AdamW& step);
void adamw_avx512(const AdamW& step);
#endif

}  // namespace powerinfer
