// Attention of one query head over the cached positions of its KV head: softmax(q · k) · v.
#include <algorithm>
#include <cmath>
#include "horizontal_sum.h"
#include "variants.h"

namespace powerinfer {

// The definition. Every other variant may differ from it by rounding only.
template <class Element>
void attend_head_scalar(const AttendHead& op) {
  const uint8_t* keys = static_cast<const uint8_t*>(op.k);
  const uint8_t* values = static_cast<const uint8_t*>(op.v);
  float largest = -INFINITY;
  for (uint32_t p = 0; p < op.position_count; ++p) {
    float sum = 0;
    for (uint32_t i = 0; i < op.head_width; ++i) sum += op.q[i] * Element::at(keys, p * op.position_stride + i);
    op.scores[p] = sum * op.scale;
    largest = op.scores[p] > largest ? op.scores[p] : largest;
  }
  float total = 0;
  for (uint32_t p = 0; p < op.position_count; ++p) total += op.scores[p] = std::exp(op.scores[p] - largest);
  for (uint32_t i = 0; i < op.head_width; ++i) op.out[i] = 0;
  for (uint32_t p = 0; p < op.position_count; ++p)
    for (uint32_t i = 0; i < op.head_width; ++i) op.out[i] += op.scores[p] * Element::at(values, p * op.position_stride + i);
  for (uint32_t i = 0; i < op.head_width; ++i) op.out[i] /= total;
}

#if POWERINFER_X86
namespace {

// e^x for x <= 0 within 2 units in the last place: Cody and Waite's reduction, the polynomial of Cephes' expf.
// Results below the smallest normal float become about 1e-38. NaN stays NaN.
TARGET_AVX2 inline __m256 exponential(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(-87.3f), x);
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x));
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(1.9875691500e-4f), r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

// scores = exp(scores - largest); returns their sum.
TARGET_AVX2 float exponentials(float* scores, uint32_t count, float largest) {
  const __m256 shift = _mm256_set1_ps(largest);
  __m256 totals = _mm256_setzero_ps();
  uint32_t p = 0;
  for (; p + 8 <= count; p += 8) {
    const __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(scores + p), shift));
    _mm256_storeu_ps(scores + p, e);
    totals = _mm256_add_ps(totals, e);
  }
  if (p < count) {
    // The lanes past the end add 1e-38 each to a sum of at least 1.
    alignas(32) float last[8] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
    std::copy(scores + p, scores + count, last);
    const __m256 e = exponential(_mm256_sub_ps(_mm256_load_ps(last), shift));
    _mm256_store_ps(last, e);
    std::copy(last, last + (count - p), scores + p);
    totals = _mm256_add_ps(totals, e);
  }
  return horizontal_sum(totals);
}

// Four positions at a time: one sum each, so a score does not depend on its neighbours.
template <class Element, uint32_t N>
TARGET_AVX2 void score_avx2(const AttendHead& op, uint32_t p) {
  const uint8_t* keys = static_cast<const uint8_t*>(op.k);
  const uint32_t vector_end = op.head_width & ~7u;
  __m256 sums[N];
  FOR_REGISTERS(n, N) sums[n] = _mm256_setzero_ps();
  for (uint32_t i = 0; i < vector_end; i += 8) {
    const __m256 q = _mm256_loadu_ps(op.q + i);
    FOR_REGISTERS(n, N) sums[n] = _mm256_fmadd_ps(q, Element::load8(keys, (p + n) * op.position_stride + i), sums[n]);
  }
  FOR_REGISTERS(n, N) {
    float sum = horizontal_sum(sums[n]);
    for (uint32_t i = vector_end; i < op.head_width; ++i) sum += op.q[i] * Element::at(keys, (p + n) * op.position_stride + i);
    op.scores[p + n] = sum * op.scale;
  }
}

template <class Element, uint32_t N>
TARGET_AVX512 void score_avx512(const AttendHead& op, uint32_t p) {
  const uint8_t* keys = static_cast<const uint8_t*>(op.k);
  __m512 sums[N];
  FOR_REGISTERS(n, N) sums[n] = _mm512_setzero_ps();
  for (uint32_t i = 0; i < op.head_width; i += 16) {
    const __mmask16 mask = first_lanes(op.head_width - i);
    const __m512 q = _mm512_maskz_loadu_ps(mask, op.q + i);
    FOR_REGISTERS(n, N) sums[n] = _mm512_fmadd_ps(q, Element::load16(mask, keys, (p + n) * op.position_stride + i), sums[n]);
  }
  FOR_REGISTERS(n, N) op.scores[p + n] = horizontal_sum(sums[n]) * op.scale;
}

// out[i .. i + 8 N) = Σ scores · v / total; the sums stay in registers over all positions.
template <class Element, uint32_t N>
TARGET_AVX2 void blend_avx2(const AttendHead& op, uint32_t i, float total) {
  const uint8_t* values = static_cast<const uint8_t*>(op.v);
  __m256 sums[N];
  FOR_REGISTERS(n, N) sums[n] = _mm256_setzero_ps();
  for (uint32_t p = 0; p < op.position_count; ++p) {
    const __m256 score = _mm256_broadcast_ss(op.scores + p);
    FOR_REGISTERS(n, N) sums[n] = _mm256_fmadd_ps(score, Element::load8(values, p * op.position_stride + i + 8 * n), sums[n]);
  }
  FOR_REGISTERS(n, N) _mm256_storeu_ps(op.out + i + 8 * n, _mm256_div_ps(sums[n], _mm256_set1_ps(total)));
}

template <class Element, uint32_t N>
TARGET_AVX512 void blend_avx512(const AttendHead& op, uint32_t i, float total) {
  const uint8_t* values = static_cast<const uint8_t*>(op.v);
  const __mmask16 last = first_lanes(op.head_width - i - 16 * (N - 1));
  __m512 sums[N];
  FOR_REGISTERS(n, N) sums[n] = _mm512_setzero_ps();
  for (uint32_t p = 0; p < op.position_count; ++p) {
    const __m512 score = _mm512_set1_ps(op.scores[p]);
    FOR_REGISTERS(n, N) {
      const __mmask16 mask = n + 1 == N ? last : __mmask16{0xffff};
      sums[n] = _mm512_fmadd_ps(score, Element::load16(mask, values, p * op.position_stride + i + 16 * n), sums[n]);
    }
  }
  FOR_REGISTERS(n, N)
    _mm512_mask_storeu_ps(op.out + i + 16 * n, n + 1 == N ? last : __mmask16{0xffff}, _mm512_div_ps(sums[n], _mm512_set1_ps(total)));
}

float largest_of(const float* scores, uint32_t count) {
  float largest = -INFINITY;
  for (uint32_t p = 0; p < count; ++p) largest = scores[p] > largest ? scores[p] : largest;
  return largest;
}

}  // namespace

template <class Element>
void attend_head_avx2(const AttendHead& op) {
  uint32_t p = 0;
  for (; p + 4 <= op.position_count; p += 4) score_avx2<Element, 4>(op, p);
  for (; p < op.position_count; ++p) score_avx2<Element, 1>(op, p);
  const float total = exponentials(op.scores, op.position_count, largest_of(op.scores, op.position_count));
  uint32_t i = 0;
  for (; i + 64 <= op.head_width; i += 64) blend_avx2<Element, 8>(op, i, total);
  for (; i + 8 <= op.head_width; i += 8) blend_avx2<Element, 1>(op, i, total);
  for (; i < op.head_width; ++i) {
    float sum = 0;
    for (p = 0; p < op.position_count; ++p) sum += op.scores[p] * Element::at(static_cast<const uint8_t*>(op.v), p * op.position_stride + i);
    op.out[i] = sum / total;
  }
}

template <class Element>
void attend_head_avx512(const AttendHead& op) {
  uint32_t p = 0;
  for (; p + 4 <= op.position_count; p += 4) score_avx512<Element, 4>(op, p);
  for (; p < op.position_count; ++p) score_avx512<Element, 1>(op, p);
  const float total = exponentials(op.scores, op.position_count, largest_of(op.scores, op.position_count));
  uint32_t i = 0;
  for (; i + 128 <= op.head_width; i += 128) blend_avx512<Element, 8>(op, i, total);
  for (; i + 64 <= op.head_width; i += 64) blend_avx512<Element, 4>(op, i, total);
  for (; i < op.head_width; i += 16) blend_avx512<Element, 1>(op, i, total);
}

template void attend_head_avx2<ElementF16>(const AttendHead&);
template void attend_head_avx2<ElementF32>(const AttendHead&);
template void attend_head_avx512<ElementF16>(const AttendHead&);
template void attend_head_avx512<ElementF32>(const AttendHead&);
#endif

template void attend_head_scalar<ElementF16>(const AttendHead&);
template void attend_head_scalar<ElementF32>(const AttendHead&);

}  // namespace powerinfer
