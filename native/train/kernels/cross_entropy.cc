// How far are a row's scores from what fired, and in which direction do they move? Both come from e^-|s|, which never overflows:
//   log(1 + e^s) = max(s, 0) + log(1 + e^-|s|),   1 / (1 + e^-s) = 1 / (1 + e^-|s|) for s ≥ 0, e^-|s| / (1 + e^-|s|) below
#include <algorithm>
#include <cmath>

#include "variants.h"

namespace powerinfer {

double cross_entropy_scalar(const CrossEntropyRow& row) {
  double loss = 0;
  for (uint32_t n = 0; n < row.count; ++n) {
    const float s = row.scores[n], weight = row.weights[row.codes[n]], fired = row.codes[n] > 0 ? 1.0f : 0.0f;
    const float e = std::exp(-std::fabs(s));
    const float sigmoid = (s >= 0 ? 1 : e) / (1 + e);
    loss += weight * (std::max(s, 0.0f) - fired * s + std::log1p(e));
    row.scores[n] = row.scale * weight * (sigmoid - fired);
  }
  return loss;
}

#if POWERINFER_X86
namespace {

double rest(const CrossEntropyRow& row, uint32_t done) {
  return cross_entropy_scalar({row.codes + done, row.weights, row.scores + done, row.count - done, row.scale});
}

// e^x = 2^n e^r for |r| ≤ log(2) / 2, the latter by its minimax polynomial of degree 6 (Cephes, expf); 2 units of the last place. Below this it is 0 to all purposes.
constexpr float kExpMin = -87.0f;
constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
constexpr float kExp[6] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
// log(1 + e) = 2 (z + z³/3 + z⁵/5 + …), z = e / (2 + e) ≤ 1/3: cut off after z⁹, at most 1e-6 too small.
constexpr float kLog[5] = {2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3, 2.0f};

TARGET_AVX2 POWERINFER_INLINE __m256 exp_avx2(__m256 x) {
  x = _mm256_max_ps(x, _mm256_set1_ps(kExpMin));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), r);
  __m256 sum = _mm256_set1_ps(kExp[0]);
  FOR_REGISTERS(i, 5) sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(kExp[i + 1]));
  sum = _mm256_fmadd_ps(sum, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1)));
  const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(sum, _mm256_castsi256_ps(exponent));
}

TARGET_AVX512 POWERINFER_INLINE __m512 exp_avx512(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(kExpMin));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  __m512 sum = _mm512_set1_ps(kExp[0]);
  FOR_REGISTERS(i, 5) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(kExp[i + 1]));
  sum = _mm512_fmadd_ps(sum, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1)));
  return _mm512_scalef_ps(sum, n);
}

}  // namespace

TARGET_AVX2 double cross_entropy_avx2(const CrossEntropyRow& row) {
  const __m256 zero = _mm256_setzero_ps(), one = _mm256_set1_ps(1), scale = _mm256_set1_ps(row.scale), sign = _mm256_set1_ps(-0.0f);
  __m256 losses = zero;
  uint32_t n = 0;
  for (; n + 8 <= row.count; n += 8) {
    const __m256 s = _mm256_loadu_ps(row.scores + n);
    const __m256i codes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row.codes + n)));
    const __m256 weight = _mm256_i32gather_ps(row.weights, codes, 4);
    const __m256 fired = _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(codes, _mm256_setzero_si256())), one);
    const __m256 e = exp_avx2(_mm256_or_ps(s, sign));
    const __m256 sigmoid = _mm256_div_ps(_mm256_blendv_ps(one, e, s), _mm256_add_ps(one, e));
    const __m256 z = _mm256_div_ps(e, _mm256_add_ps(_mm256_set1_ps(2), e)), zz = _mm256_mul_ps(z, z);
    __m256 log = _mm256_set1_ps(kLog[0]);
    FOR_REGISTERS(i, 4) log = _mm256_fmadd_ps(log, zz, _mm256_set1_ps(kLog[i + 1]));
    const __m256 loss = _mm256_fmadd_ps(log, z, _mm256_fnmadd_ps(fired, s, _mm256_max_ps(s, zero)));
    losses = _mm256_fmadd_ps(weight, loss, losses);
    _mm256_storeu_ps(row.scores + n, _mm256_mul_ps(_mm256_mul_ps(scale, weight), _mm256_sub_ps(sigmoid, fired)));
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, losses);
  double loss = 0;
  for (const float lane : lanes) loss += lane;
  return loss + rest(row, n);
}

TARGET_AVX512 double cross_entropy_avx512(const CrossEntropyRow& row) {
  const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1), scale = _mm512_set1_ps(row.scale), sign = _mm512_set1_ps(-0.0f);
  __m512 losses = zero;
  uint32_t n = 0;
  for (; n + 16 <= row.count; n += 16) {
    const __m512 s = _mm512_loadu_ps(row.scores + n);
    const __m512i codes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row.codes + n)));
    const __m512 weight = _mm512_i32gather_ps(codes, row.weights, 4);
    const __m512 fired = _mm512_maskz_mov_ps(_mm512_test_epi32_mask(codes, codes), one);
    const __m512 e = exp_avx512(_mm512_or_ps(s, sign));
    const __m512 sigmoid = _mm512_div_ps(_mm512_mask_mov_ps(one, _mm512_movepi32_mask(_mm512_castps_si512(s)), e), _mm512_add_ps(one, e));
    const __m512 z = _mm512_div_ps(e, _mm512_add_ps(_mm512_set1_ps(2), e)), zz = _mm512_mul_ps(z, z);
    __m512 log = _mm512_set1_ps(kLog[0]);
    FOR_REGISTERS(i, 4) log = _mm512_fmadd_ps(log, zz, _mm512_set1_ps(kLog[i + 1]));
    const __m512 loss = _mm512_fmadd_ps(log, z, _mm512_fnmadd_ps(fired, s, _mm512_max_ps(s, zero)));
    losses = _mm512_fmadd_ps(weight, loss, losses);
    _mm512_storeu_ps(row.scores + n, _mm512_mul_ps(_mm512_mul_ps(scale, weight), _mm512_sub_ps(sigmoid, fired)));
  }
  float lanes[16];
  _mm512_storeu_ps(lanes, losses);
  double loss = 0;
  for (const float lane : lanes) loss += lane;
  return loss + rest(row, n);
}
#endif

}  // namespace powerinfer
