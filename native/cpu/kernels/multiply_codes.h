// The inner step of every quantized matmul: weight codes times activation codes, exact in integers, then scaled in f32.
#pragma once
#include "../../quant/half.h"
#include "horizontal_sum.h"
#include "matmul_tiles.h"
#include "target.h"

#if POWERINFER_X86

namespace powerinfer {

// The activation rows of a tile.
template <uint32_t C>
struct CodeRows {
  const int8_t* codes[C];
  const float* scales[C];
  const int16_t* sums[C];

  explicit CodeRows(const MatmulTile& tile) {
    const Rows& x = tile.op.x;
    FOR_REGISTERS(c, C) {
      codes[c] = x.codes + uint64_t{tile.row + c} * x.width;
      scales[c] = x.scales + uint64_t{tile.row + c} * (x.width / 32);
      sums[c] = x.sums + uint64_t{tile.row + c} * (x.width / 16);
    }
  }
};

// sums += scales · Σ (codes - kZero) · x over 32 codes at k; lane i of a sum and of `scales` belongs to codes 4i .. 4i + 3. Codes are
// unsigned below 64, so that no pair of products leaves 16 bits (63 · 127 · 2 = 16002).
template <int kZero, uint32_t R, uint32_t C>
TARGET_AVX2 POWERINFER_INLINE void multiply_32(const __m256i (&codes)[R], const __m256 (&scales)[R], const CodeRows<C>& x, uint32_t k,
                                               __m256 (&sums)[R][C]) {
  FOR_REGISTERS(c, C) {
    const __m256i x_codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.codes[c] + k));
    const __m256 x_scale = _mm256_broadcast_ss(x.scales[c] + k / 32);
    const __m256i zero = _mm256_maddubs_epi16(_mm256_set1_epi8(kZero), x_codes);
    FOR_REGISTERS(r, R) {
      __m256i pairs = _mm256_maddubs_epi16(codes[r], x_codes);
      if constexpr (kZero != 0) pairs = _mm256_sub_epi16(pairs, zero);
      const __m256 dot = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      sums[r][c] = _mm256_fmadd_ps(_mm256_mul_ps(scales[r], x_scale), dot, sums[r][c]);
    }
  }
}

// sums += scales · Σ (codes - kZero) · x over 64 codes at k, or the 32 that are left unless kWhole. Codes are unsigned, any value:
// VNNI adds four products in 32 bits.
template <int kZero, bool kWhole = true, uint32_t R, uint32_t C>
TARGET_VNNI POWERINFER_INLINE void multiply_64(const __m512i (&codes)[R], const __m512 (&scales)[R], const CodeRows<C>& x, uint32_t k,
                                               __m512 (&sums)[R][C]) {
  const __m512i low_high = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  FOR_REGISTERS(c, C) {
    __m512i x_codes;
    __m512 x_scales;
    if constexpr (kWhole) {
      double two_scales;
      __builtin_memcpy(&two_scales, x.scales[c] + k / 32, sizeof two_scales);
      x_codes = _mm512_loadu_si512(x.codes[c] + k);
      x_scales = _mm512_permutexvar_ps(low_high, _mm512_castpd_ps(_mm512_set1_pd(two_scales)));
    } else {
      x_codes = _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.codes[c] + k)));
      x_scales = _mm512_set1_ps(x.scales[c][k / 32]);
    }
    __m512i start = _mm512_setzero_si512();
    if constexpr (kZero != 0) start = _mm512_sub_epi32(start, _mm512_dpbusd_epi32(start, _mm512_set1_epi8(static_cast<char>(kZero)), x_codes));
    FOR_REGISTERS(r, R) {
      const __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, codes[r], x_codes));
      sums[r][c] = _mm512_fmadd_ps(_mm512_mul_ps(scales[r], x_scales), dot, sums[r][c]);
    }
  }
}

// Writes a tile's results where they belong.
template <uint32_t R, uint32_t C>
TARGET_AVX2 POWERINFER_INLINE void store_sums(const MatmulTile& tile, const __m256 (&sums)[R][C]) {
  FOR_REGISTERS(r, R)
    FOR_REGISTERS(c, C) tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = horizontal_sum(sums[r][c]);
}
template <uint32_t R, uint32_t C>
TARGET_AVX512 POWERINFER_INLINE void store_sums(const MatmulTile& tile, const __m512 (&sums)[R][C]) {
  FOR_REGISTERS(r, R)
    FOR_REGISTERS(c, C) tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = horizontal_sum(sums[r][c]);
}

// One half as eight floats, and two as sixteen.
TARGET_AVX2 POWERINFER_INLINE __m256 spread_f16(uint16_t half) { return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(half))); }
TARGET_VNNI POWERINFER_INLINE __m512 spread_f16(uint16_t low, uint16_t high) {
  const __m128i l = _mm_set1_epi16(static_cast<int16_t>(low)), h = _mm_set1_epi16(static_cast<int16_t>(high));
  return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(l), h, 1));
}
TARGET_VNNI POWERINFER_INLINE __m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }

}  // namespace powerinfer
#endif
