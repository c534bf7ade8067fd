// Q8_0 weights times f32 activations, which are not rounded: to round them to 8 bits as well would cost as much fidelity as the weights'
// own rounding did (KL divergence of the trained 7M model to F32: 3.3e-4 instead of 1.8e-4), and memory sets the speed either way.
// The definition is matmul_dequantized_scalar.
#include "../../quant/half.h"
#include "horizontal_sum.h"
#include "matmul_tiles.h"
#include "variants.h"

#if POWERINFER_X86
namespace powerinfer {
namespace {

struct Avx2 {
  static constexpr uint32_t kBatch = 2;

  template <uint32_t R, uint32_t C>
  TARGET_AVX2 static void tile(const MatmulTile& tile) {
    const Rows& x = tile.op.x;
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R);
    const float* values = x.values + tile.row * x.stride;
    __m256 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm256_setzero_ps();
    for (uint32_t k = 0; k < x.width; k += 32) {
      if constexpr (C == 1) ahead.fetch<R>(sizeof(BlockQ8_0));
      FOR_REGISTERS(r, R) {
        const BlockQ8_0& block = reinterpret_cast<const BlockQ8_0*>(tile.weights[r])[k / 32];
        const __m256 scale = _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(block.d)));
        FOR_REGISTERS(i, 4) {
          const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block.codes + 8 * i));
          const __m256 weights = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)));
          FOR_REGISTERS(c, C) sums[r][c] = _mm256_fmadd_ps(weights, _mm256_loadu_ps(values + c * x.stride + k + 8 * i), sums[r][c]);
        }
      }
    }
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = horizontal_sum(sums[r][c]);
  }
};

struct Avx512 {
  static constexpr uint32_t kBatch = 4;

  template <uint32_t R, uint32_t C>
  TARGET_AVX512 static void tile(const MatmulTile& tile) {
    const Rows& x = tile.op.x;
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R);
    const float* values = x.values + tile.row * x.stride;
    __m512 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm512_setzero_ps();
    for (uint32_t k = 0; k < x.width; k += 32) {
      if constexpr (C == 1) ahead.fetch<R>(sizeof(BlockQ8_0));
      FOR_REGISTERS(r, R) {
        const BlockQ8_0& block = reinterpret_cast<const BlockQ8_0*>(tile.weights[r])[k / 32];
        const __m512 scale = _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(block.d)));
        FOR_REGISTERS(i, 2) {
          const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.codes + 16 * i));
          const __m512 weights = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)));
          FOR_REGISTERS(c, C) sums[r][c] = _mm512_fmadd_ps(weights, _mm512_loadu_ps(values + c * x.stride + k + 16 * i), sums[r][c]);
        }
      }
    }
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = horizontal_sum(sums[r][c]);
  }
};

}  // namespace

void matmul_q8_0_avx2(const Matmul& op) { run_matmul_tiles<Avx2>(op); }
void matmul_q8_0_avx512(const Matmul& op) { run_matmul_tiles<Avx512>(op); }

}  // namespace powerinfer
#endif
