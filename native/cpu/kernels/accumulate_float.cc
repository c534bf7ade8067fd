// Adds the `down` rows of active neurons, stored one after another in F32, F16 or BF16, each scaled by its activation.
#include <cmath>
#include "horizontal_sum.h"
#include "variants.h"
#include "wanted.h"

namespace powerinfer {

// The definition. Every other variant may differ from it by rounding only.
template <class Element>
void accumulate_float_scalar(const Accumulate& op) {
  for_each_wanted(op, [&](const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    float* out = op.out + row * op.out_stride;
    for (uint32_t k = 0; k < wanted.count; ++k) {
      const uint8_t* down = op.down + wanted.neurons[k] * op.row_bytes;
      for (uint32_t c = begin; c < end; ++c) out[c] += wanted.scales[k] * Element::at(down, c);
    }
  });
}

#if POWERINFER_X86
namespace {

// Adds N rows to out[begin .. end), the rows in order for every column; prefetches the N rows that follow.
template <class Element, uint32_t N>
TARGET_AVX2 void add_rows_avx2(const uint8_t* const* rows, const uint8_t* const* next, const float* scales, float* out, uint32_t begin, uint32_t end) {
  constexpr uint32_t kVectors = 64 / (8 * Element::kBytes);  // of a cache line
  uint32_t c = begin;
  for (; c + 8 * kVectors <= end; c += 8 * kVectors) {
    __m256 sums[kVectors];
    FOR_REGISTERS(i, kVectors) sums[i] = _mm256_loadu_ps(out + c + 8 * i);
    FOR_REGISTERS(n, N) {
      _mm_prefetch(next[n] + c * Element::kBytes, _MM_HINT_T0);
      FOR_REGISTERS(i, kVectors) sums[i] = _mm256_fmadd_ps(_mm256_set1_ps(scales[n]), Element::load8(rows[n], c + 8 * i), sums[i]);
    }
    FOR_REGISTERS(i, kVectors) _mm256_storeu_ps(out + c + 8 * i, sums[i]);
  }
  for (; c < end; ++c)
    FOR_REGISTERS(n, N) out[c] = std::fma(scales[n], Element::at(rows[n], c), out[c]);
}

template <class Element, uint32_t N>
TARGET_AVX512 void add_rows_avx512(const uint8_t* const* rows, const uint8_t* const* next, const float* scales, float* out, uint32_t begin,
                                   uint32_t end) {
  for (uint32_t c = begin; c < end; c += 16) {
    const __mmask16 mask = first_lanes(end - c);
    __m512 sum = _mm512_maskz_loadu_ps(mask, out + c);
    FOR_REGISTERS(n, N) {
      sum = _mm512_fmadd_ps(_mm512_set1_ps(scales[n]), Element::load16(mask, rows[n], c), sum);
      _mm_prefetch(next[n] + c * Element::kBytes, _MM_HINT_T0);
    }
    _mm512_mask_storeu_ps(out + c, mask, sum);
  }
}

using AddRows = void (*)(const uint8_t* const* rows, const uint8_t* const* next, const float* scales, float* out, uint32_t begin, uint32_t end);

// Four rows at a time, so that a column is loaded and stored once for four.
void add_in_fours(const Accumulate& op, AddRows add_four, AddRows add_one) {
  for_each_wanted(op, [&](const Wanted& wanted, uint32_t row, uint32_t begin, uint32_t end) {
    float* out = op.out + row * op.out_stride;
    const uint8_t* rows[kWantedMax + 4];
    for (uint32_t k = 0; k < wanted.count; ++k) rows[k] = op.down + wanted.neurons[k] * op.row_bytes;
    for (uint32_t k = wanted.count; k < wanted.count + 4; ++k) rows[k] = op.down;
    uint32_t k = 0;
    for (; k + 4 <= wanted.count; k += 4) add_four(rows + k, rows + k + 4, wanted.scales + k, out, begin, end);
    for (; k < wanted.count; ++k) add_one(rows + k, rows + k + 1, wanted.scales + k, out, begin, end);
  });
}

}  // namespace

template <class Element>
void accumulate_float_avx2(const Accumulate& op) {
  add_in_fours(op, add_rows_avx2<Element, 4>, add_rows_avx2<Element, 1>);
}
template <class Element>
void accumulate_float_avx512(const Accumulate& op) {
  add_in_fours(op, add_rows_avx512<Element, 4>, add_rows_avx512<Element, 1>);
}

template void accumulate_float_avx2<ElementF32>(const Accumulate&);
template void accumulate_float_avx2<ElementF16>(const Accumulate&);
template void accumulate_float_avx2<ElementBF16>(const Accumulate&);
template void accumulate_float_avx512<ElementF32>(const Accumulate&);
template void accumulate_float_avx512<ElementF16>(const Accumulate&);
template void accumulate_float_avx512<ElementBF16>(const Accumulate&);
#endif

template void accumulate_float_scalar<ElementF32>(const Accumulate&);
template void accumulate_float_scalar<ElementF16>(const Accumulate&);
template void accumulate_float_scalar<ElementBF16>(const Accumulate&);

}  // namespace powerinfer
