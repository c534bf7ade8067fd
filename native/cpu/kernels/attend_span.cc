// Attention over one span of positions: softmax's numerators, their sum, and what they make of the values.
//
// All query heads of a KV head, of all rows of a block, read the span's keys and values together: that is what a cache costs. A score,
// a sum and an output each have one accumulation order, whichever queries are computed beside them.
#include <algorithm>
#include <cmath>
#include "horizontal_sum.h"
#include "variants.h"

namespace powerinfer {

// The definition. Every other variant may differ from it by rounding only.
template <class Element>
void attend_span_scalar(const AttendSpan& op) {
  for (uint32_t query = 0; query < op.row_count * op.group; ++query) {
    const uint32_t row = query / op.group;
    const float* const q = op.q + row * op.q_stride + query % op.group * op.head_width;
    float* const scores = op.scores + query * kSpanPositions;
    float* const out = op.out + query * op.head_width;
    float largest = -INFINITY;
    for (uint32_t p = 0; p < op.position_counts[row]; ++p) {
      float sum = 0;
      for (uint32_t i = 0; i < op.head_width; ++i) sum += q[i] * Element::at(op.k + p * op.position_bytes, i);
      scores[p] = sum * op.scale;
      largest = scores[p] > largest ? scores[p] : largest;
    }
    float total = 0;
    for (uint32_t p = 0; p < op.position_counts[row]; ++p) total += scores[p] = std::exp(scores[p] - largest);
    for (uint32_t i = 0; i < op.head_width; ++i) out[i] = 0;
    for (uint32_t p = 0; p < op.position_counts[row]; ++p)
      for (uint32_t i = 0; i < op.head_width; ++i) out[i] += scores[p] * Element::at(op.v + p * op.position_bytes, i);
    op.largest[query] = largest;
    op.totals[query] = total;
  }
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

// scores = exp(scores - largest); returns their sum. scores f32[count rounded up to 8]: the rest is overwritten and not counted.
TARGET_AVX2 float exponentials(float* scores, uint32_t count, float largest) {
  const __m256 shift = _mm256_set1_ps(largest);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256 totals = _mm256_setzero_ps();
  for (uint32_t p = 0; p < count; p += 8) {
    const __m256 there = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count - p)), lanes));
    const __m256 e = _mm256_and_ps(there, exponential(_mm256_sub_ps(_mm256_loadu_ps(scores + p), shift)));
    _mm256_storeu_ps(scores + p, e);
    totals = _mm256_add_ps(totals, e);
  }
  return horizontal_sum(totals);
}

// The largest score that is a number; -infinity if there is none.
TARGET_AVX2 float largest_of(const float* scores, uint32_t count) {
  __m256 eights = _mm256_set1_ps(-INFINITY);
  uint32_t p = 0;
  for (; p + 8 <= count; p += 8) eights = _mm256_max_ps(_mm256_loadu_ps(scores + p), eights);  // of a NaN and a number: the second operand
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, eights);
  float largest = -INFINITY;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  for (; p < count; ++p) largest = scores[p] > largest ? scores[p] : largest;
  return largest;
}

// The sums of eight registers' lanes, each added in the same order.
TARGET_AVX2 inline __m256 sums_of_eight(const __m256* v) {
  const __m256 first = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  const __m256 last = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(first, last, 0x20), _mm256_permute2f128_ps(first, last, 0x31));
}

// One query alone waits for memory, which stops reading ahead at the end of a page: fetched this many positions ahead, it is a tenth faster.
constexpr uint32_t kFetchPositions = 16;

TARGET_AVX2 inline void fetch(const uint8_t* bytes, uint64_t count) {
  for (uint64_t i = 0; i < count; i += 64) _mm_prefetch(reinterpret_cast<const char*>(bytes + i), _MM_HINT_T0);
}

// Some queries of a span: where each one's numbers are, and how many positions it sees.
template <uint32_t Q>
struct Queries {
  const float* q[Q];
  float* scores[Q];
  float* out[Q];
  uint32_t counts[Q];
  uint32_t count_min, count_max;

  Queries(const AttendSpan& op, uint32_t first) : count_min(kSpanPositions), count_max(0) {
    for (uint32_t n = 0; n < Q; ++n) {
      const uint32_t query = first + n;
      const uint32_t row = query / op.group;
      q[n] = op.q + row * op.q_stride + query % op.group * op.head_width;
      scores[n] = op.scores + query * kSpanPositions;
      out[n] = op.out + query * op.head_width;
      counts[n] = op.position_counts[row];
      count_min = std::min(count_min, counts[n]);
      count_max = std::max(count_max, counts[n]);
    }
  }
};

// scores[n][p .. p + P) of Q queries, P = 8 / Q positions at a time. Where fewer are left the last one stands in: its score lies behind
// those that count. Several queries compute longer than memory needs for their keys: the first of them have it bring the values too.
template <class Element, uint32_t Q>
TARGET_AVX2 void score(const AttendSpan& op, const Queries<Q>& queries, bool first) {
  constexpr uint32_t P = 8 / Q;
  const uint32_t vector_end = op.head_width & ~7u;
  const __m256 scale = _mm256_set1_ps(op.scale);
  for (uint32_t p = 0; p < queries.count_max; p += P) {
    const uint8_t* k[P];
    for (uint32_t j = 0; j < P; ++j) k[j] = op.k + std::min(p + j, queries.count_max - 1) * op.position_bytes;
    if (Q == 1) fetch(op.k + (p + kFetchPositions) * op.position_bytes, P * op.position_bytes);
    if (Q > 1 && first) fetch(op.v + p * op.position_bytes, P * op.position_bytes);
    __m256 sums[8];
    FOR_REGISTERS(j, 8) sums[j] = _mm256_setzero_ps();
    for (uint32_t i = 0; i < vector_end; i += 8) {
      __m256 keys[P];
      FOR_REGISTERS(j, P) keys[j] = Element::load8(k[j], i);
      FOR_REGISTERS(n, Q) {
        const __m256 q = _mm256_loadu_ps(queries.q[n] + i);
        FOR_REGISTERS(j, P) sums[n * P + j] = _mm256_fmadd_ps(q, keys[j], sums[n * P + j]);
      }
    }
    alignas(32) float tile[8];
    _mm256_store_ps(tile, sums_of_eight(sums));
    for (uint32_t i = vector_end; i < op.head_width; ++i)
      for (uint32_t n = 0; n < Q; ++n)
        for (uint32_t j = 0; j < P; ++j) tile[n * P + j] += queries.q[n][i] * Element::at(k[j], i);
    _mm256_store_ps(tile, _mm256_mul_ps(_mm256_load_ps(tile), scale));
    for (uint32_t n = 0; n < Q; ++n) std::copy(tile + n * P, tile + n * P + P, queries.scores[n] + p);
  }
}

// out[n][i .. i + 8 V) = Σ scores · v of Q queries; the sums stay in registers over all positions.
template <class Element, uint32_t Q, uint32_t V>
TARGET_AVX2 void blend(const AttendSpan& op, const Queries<Q>& queries, uint32_t i) {
  __m256 sums[Q][V];
  FOR_REGISTERS(n, Q) FOR_REGISTERS(j, V) sums[n][j] = _mm256_setzero_ps();
  const uint8_t* v = op.v;
  for (uint32_t p = 0; p < queries.count_min; ++p, v += op.position_bytes) {
    if (Q == 1 && i == 0) fetch(v + kFetchPositions * op.position_bytes, op.position_bytes);
    __m256 values[V];
    FOR_REGISTERS(j, V) values[j] = Element::load8(v, i + 8 * j);
    FOR_REGISTERS(n, Q) {
      const __m256 score = _mm256_broadcast_ss(queries.scores[n] + p);
      FOR_REGISTERS(j, V) sums[n][j] = _mm256_fmadd_ps(score, values[j], sums[n][j]);
    }
  }
  // Positions that only some of the queries see: those at the end of a prompt's block of rows.
  FOR_REGISTERS(n, Q) {
    for (uint32_t p = queries.count_min; p < queries.counts[n]; ++p) {
      const __m256 score = _mm256_broadcast_ss(queries.scores[n] + p);
      FOR_REGISTERS(j, V) sums[n][j] = _mm256_fmadd_ps(score, Element::load8(op.v + p * op.position_bytes, i + 8 * j), sums[n][j]);
    }
    FOR_REGISTERS(j, V) _mm256_storeu_ps(queries.out[n] + i + 8 * j, sums[n][j]);
  }
}

template <class Element, uint32_t Q>
TARGET_AVX2 void attend_queries(const AttendSpan& op, uint32_t first) {
  constexpr uint32_t V = 8 / Q;
  const Queries<Q> queries(op, first);
  score<Element, Q>(op, queries, first == 0);
  for (uint32_t n = 0; n < Q; ++n) {
    op.largest[first + n] = largest_of(queries.scores[n], queries.counts[n]);
    op.totals[first + n] = exponentials(queries.scores[n], queries.counts[n], op.largest[first + n]);
  }
  uint32_t i = 0;
  for (; i + 8 * V <= op.head_width; i += 8 * V) blend<Element, Q, V>(op, queries, i);
  for (; i + 4 * V <= op.head_width; i += 4 * V) blend<Element, Q, V / 2>(op, queries, i);
  for (; i + 8 <= op.head_width; i += 8) blend<Element, Q, 1>(op, queries, i);
  for (; i < op.head_width; ++i) {
    for (uint32_t n = 0; n < Q; ++n) {
      float sum = 0;
      for (uint32_t p = 0; p < queries.counts[n]; ++p) sum += queries.scores[n][p] * Element::at(op.v + p * op.position_bytes, i);
      queries.out[n][i] = sum;
    }
  }
}

}  // namespace

// Four queries at a time, so that keys and values are loaded and converted once for all four; what is left one by one.
template <class Element>
void attend_span_avx2(const AttendSpan& op) {
  const uint32_t query_count = op.row_count * op.group;
  uint32_t query = 0;
  for (; query + 4 <= query_count; query += 4) attend_queries<Element, 4>(op, query);
  for (; query < query_count; ++query) attend_queries<Element, 1>(op, query);
}

template void attend_span_avx2<ElementF16>(const AttendSpan&);
template void attend_span_avx2<ElementF32>(const AttendSpan&);
template void attend_span_avx2<ElementQ8_0>(const AttendSpan&);
#endif

template void attend_span_scalar<ElementF16>(const AttendSpan&);
template void attend_span_scalar<ElementF32>(const AttendSpan&);
template void attend_span_scalar<ElementQ8_0>(const AttendSpan&);

}  // namespace powerinfer
