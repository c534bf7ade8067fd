// Q4_K weights times activation codes. The definition is matmul_codes_scalar.
#include "multiply_codes.h"
#include "variants.h"

#if POWERINFER_X86
namespace powerinfer {
namespace {

// d · scale of the eight groups below, dmin · minimum above.
TARGET_AVX512 POWERINFER_INLINE __m512 scales_and_minimums(const BlockQ4_K& block) {
  uint8_t unpacked[16];
  unpack_k_scales(block.scales, unpacked);
  const __m512 small = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(unpacked))));
  const __m128i d = _mm_set1_epi16(static_cast<int16_t>(block.d)), dmin = _mm_set1_epi16(static_cast<int16_t>(block.dmin));
  return _mm512_mul_ps(small, _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(d), dmin, 1)));
}

// x_scale · Σ x over each of the eight groups of 32.
TARGET_AVX2 POWERINFER_INLINE __m256 group_sums(const int16_t* sums, const float* scales) {
  const __m256i pairs = _mm256_madd_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums)), _mm256_set1_epi16(1));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(pairs), _mm256_loadu_ps(scales));
}

struct Avx2 {
  static constexpr uint32_t kBatch = 2;

  template <uint32_t R, uint32_t C>
  TARGET_AVX2 static void tile(const MatmulTile& tile) {
    const CodeRows<C> x(tile);
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R);
    __m256 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm256_setzero_ps();
    for (uint32_t k = 0; k < tile.op.x.width; k += 256) {
      alignas(32) float scales_of[R][8];
      FOR_REGISTERS(r, R) {
        const BlockQ4_K& block = reinterpret_cast<const BlockQ4_K*>(tile.weights[r])[k / 256];
        uint8_t unpacked[16];
        unpack_k_scales(block.scales, unpacked);
        const __m128i small = _mm_loadu_si128(reinterpret_cast<const __m128i*>(unpacked));
        _mm256_store_ps(scales_of[r], _mm256_mul_ps(spread_f16(block.d), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(small))));
        const __m256i minimums = _mm256_cvtepu8_epi32(_mm_srli_si128(small, 8));
        const __m256 offsets = _mm256_mul_ps(spread_f16(block.dmin), _mm256_cvtepi32_ps(minimums));
        FOR_REGISTERS(c, C)
          sums[r][c] = _mm256_fnmadd_ps(offsets, group_sums(x.sums[c] + k / 16, x.scales[c] + k / 32), sums[r][c]);
      }
      FOR_REGISTERS(j, 4) {
        if constexpr (C == 1) ahead.fetch<R>(sizeof(BlockQ4_K) / 4);
        __m256i low[R], high[R];
        __m256 low_scales[R], high_scales[R];
        FOR_REGISTERS(r, R) {
          const BlockQ4_K& block = reinterpret_cast<const BlockQ4_K*>(tile.weights[r])[k / 256];
          const __m256i nibbles = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.nibbles + 32 * j));
          low[r] = _mm256_and_si256(nibbles, _mm256_set1_epi8(15));
          high[r] = _mm256_and_si256(_mm256_srli_epi16(nibbles, 4), _mm256_set1_epi8(15));
          low_scales[r] = _mm256_broadcast_ss(scales_of[r] + 2 * j);
          high_scales[r] = _mm256_broadcast_ss(scales_of[r] + 2 * j + 1);
        }
        multiply_32<0>(low, low_scales, x, k + 64 * j, sums);
        multiply_32<0>(high, high_scales, x, k + 64 * j + 32, sums);
      }
    }
    store_sums(tile, sums);
  }
};

struct Vnni {
  static constexpr uint32_t kBatch = 4;

  template <uint32_t R, uint32_t C>
  TARGET_VNNI static void tile(const MatmulTile& tile) {
    const CodeRows<C> x(tile);
    [[maybe_unused]] RowsAhead ahead(tile.op, tile.i + R);
    __m512 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm512_setzero_ps();
    const __m512i shifts = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4), nibble = _mm512_set1_epi8(15), two = _mm512_set1_epi32(2);
    for (uint32_t k = 0; k < tile.op.x.width; k += 256) {
      __m512 scales_of[R];
      FOR_REGISTERS(r, R)
        scales_of[r] = scales_and_minimums(reinterpret_cast<const BlockQ4_K*>(tile.weights[r])[k / 256]);
      FOR_REGISTERS(c, C) {
        // The minimums are the upper lanes, so the sums go there and the lower lanes get nothing.
        const __m512 upper = _mm512_insertf32x8(_mm512_setzero_ps(), group_sums(x.sums[c] + k / 16, x.scales[c] + k / 32), 1);
        FOR_REGISTERS(r, R) sums[r][c] = _mm512_fnmadd_ps(scales_of[r], upper, sums[r][c]);
      }
      __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
      for (uint32_t j = 0; j < 4; ++j, lanes = _mm512_add_epi32(lanes, two)) {
        if constexpr (C == 1) ahead.fetch<R>(sizeof(BlockQ4_K) / 4);
        __m512i codes[R];
        __m512 scales[R];
        FOR_REGISTERS(r, R) {
          const BlockQ4_K& block = reinterpret_cast<const BlockQ4_K*>(tile.weights[r])[k / 256];
          const __m512i twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.nibbles + 32 * j)));
          codes[r] = _mm512_and_si512(_mm512_srlv_epi64(twice, shifts), nibble);
          scales[r] = _mm512_permutexvar_ps(lanes, scales_of[r]);
        }
        multiply_64<0>(codes, scales, x, k + 64 * j, sums);
      }
    }
    store_sums(tile, sums);
  }
};

}  // namespace

void matmul_q4_k_avx2(const Matmul& op) { run_matmul_tiles<Avx2>(op); }
void matmul_q4_k_vnni(const Matmul& op) { run_matmul_tiles<Vnni>(op); }

}  // namespace powerinfer
#endif
