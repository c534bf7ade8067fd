// A tile of a matrix product, held in registers while the factors stream past.
//
// Each step of k loads one row of b, and of a one value a row of the tile: 6 × 16 sums want 12 registers of AVX2's 16, 14 × 32 want 28 of AVX-512's 32, and both
// keep two multiply-adds a cycle busy.
#include "variants.h"

namespace powerinfer {
namespace {

// What a sum begins with.
inline float begun(const GemmTile& tile, uint32_t i, uint32_t j) { return tile.adds ? tile.c[i * tile.c_stride + j] : 0.0f; }

}  // namespace

void gemm_tile_scalar(const GemmTile& tile) {
  for (uint32_t i = 0; i < tile.rows; ++i)
    for (uint32_t j = 0; j < tile.columns; ++j) {
      float sum = begun(tile, i, j);
      for (uint64_t k = 0; k < tile.depth; ++k) sum += tile.a[k * kGemmRowsScalar + i] * tile.b[k * kGemmColumnsScalar + j];
      tile.c[i * tile.c_stride + j] = sum;
    }
}

#if POWERINFER_X86
namespace {

// A whole tile; one that is cut off at the edge of c goes through a whole one beside it.
template <uint32_t kRows, uint32_t kColumns, void (*kWhole)(const GemmTile&)>
void at_the_edge(const GemmTile& tile) {
  float sums[kRows * kColumns];
  for (uint32_t i = 0; i < kRows; ++i)
    for (uint32_t j = 0; j < kColumns; ++j) sums[i * kColumns + j] = i < tile.rows && j < tile.columns ? begun(tile, i, j) : 0.0f;
  kWhole({tile.a, tile.b, tile.depth, kRows, kColumns, sums, kColumns, true});
  for (uint32_t i = 0; i < tile.rows; ++i)
    for (uint32_t j = 0; j < tile.columns; ++j) tile.c[i * tile.c_stride + j] = sums[i * kColumns + j];
}

TARGET_AVX2 void whole_tile_avx2(const GemmTile& tile) {
  constexpr uint32_t kRows = kGemmRowsAvx2;
  __m256 sums[kRows][2];
  FOR_REGISTERS(i, kRows) {
    float* c = tile.c + i * tile.c_stride;
    sums[i][0] = tile.adds ? _mm256_loadu_ps(c) : _mm256_setzero_ps();
    sums[i][1] = tile.adds ? _mm256_loadu_ps(c + 8) : _mm256_setzero_ps();
  }
  const float* a = tile.a;
  const float* b = tile.b;
  for (uint32_t k = 0; k < tile.depth; ++k, a += kRows, b += kGemmColumnsAvx2) {
    const __m256 left = _mm256_load_ps(b), right = _mm256_load_ps(b + 8);
    FOR_REGISTERS(i, kRows) {
      const __m256 factor = _mm256_broadcast_ss(a + i);
      sums[i][0] = _mm256_fmadd_ps(factor, left, sums[i][0]);
      sums[i][1] = _mm256_fmadd_ps(factor, right, sums[i][1]);
    }
  }
  FOR_REGISTERS(i, kRows) {
    float* c = tile.c + i * tile.c_stride;
    _mm256_storeu_ps(c, sums[i][0]);
    _mm256_storeu_ps(c + 8, sums[i][1]);
  }
}

TARGET_AVX512 void whole_tile_avx512(const GemmTile& tile) {
  constexpr uint32_t kRows = kGemmRowsAvx512;
  __m512 sums[kRows][2];
  FOR_REGISTERS(i, kRows) {
    float* c = tile.c + i * tile.c_stride;
    sums[i][0] = tile.adds ? _mm512_loadu_ps(c) : _mm512_setzero_ps();
    sums[i][1] = tile.adds ? _mm512_loadu_ps(c + 16) : _mm512_setzero_ps();
  }
  const float* a = tile.a;
  const float* b = tile.b;
  for (uint32_t k = 0; k < tile.depth; ++k, a += kRows, b += kGemmColumnsAvx512) {
    const __m512 left = _mm512_load_ps(b), right = _mm512_load_ps(b + 16);
    FOR_REGISTERS(i, kRows) {
      const __m512 factor = _mm512_set1_ps(a[i]);
      sums[i][0] = _mm512_fmadd_ps(factor, left, sums[i][0]);
      sums[i][1] = _mm512_fmadd_ps(factor, right, sums[i][1]);
    }
  }
  FOR_REGISTERS(i, kRows) {
    float* c = tile.c + i * tile.c_stride;
    _mm512_storeu_ps(c, sums[i][0]);
    _mm512_storeu_ps(c + 16, sums[i][1]);
  }
}

}  // namespace

void gemm_tile_avx2(const GemmTile& tile) {
  if (tile.rows == kGemmRowsAvx2 && tile.columns == kGemmColumnsAvx2) return whole_tile_avx2(tile);
  at_the_edge<kGemmRowsAvx2, kGemmColumnsAvx2, whole_tile_avx2>(tile);
}

void gemm_tile_avx512(const GemmTile& tile) {
  if (tile.rows == kGemmRowsAvx512 && tile.columns == kGemmColumnsAvx512) return whole_tile_avx512(tile);
  at_the_edge<kGemmRowsAvx512, kGemmColumnsAvx512, whole_tile_avx512>(tile);
}
#endif

}  // namespace powerinfer
