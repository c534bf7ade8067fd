// Which scores exceed their thresholds, as a set of bits?
#include "variants.h"

namespace powerinfer {

// The definition: bit i % 32 of words[i / 32] is scores[i] > thresholds[i], which no NaN is; words beyond the last score stay 0.
void mark_above_scalar(const float* scores, const float* thresholds, uint32_t count, uint32_t* words) {
  for (uint32_t first = 0; first < count; first += 32) {
    const uint32_t length = count - first < 32 ? count - first : 32;
    uint32_t word = 0;
    for (uint32_t i = 0; i < length; ++i) word |= uint32_t{scores[first + i] > thresholds[first + i]} << i;
    words[first / 32] = word;
  }
}

#if POWERINFER_X86

TARGET_AVX2 void mark_above_avx2(const float* scores, const float* thresholds, uint32_t count, uint32_t* words) {
  const uint32_t whole = count & ~31u;
  for (uint32_t first = 0; first < whole; first += 32) {
    uint32_t word = 0;
    FOR_REGISTERS(i, 4) {
      const __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(scores + first + 8 * i), _mm256_loadu_ps(thresholds + first + 8 * i), _CMP_GT_OQ);
      word |= static_cast<uint32_t>(_mm256_movemask_ps(above)) << 8 * i;
    }
    words[first / 32] = word;
  }
  if (whole < count) mark_above_scalar(scores + whole, thresholds + whole, count - whole, words + whole / 32);
}

#endif

}  // namespace powerinfer
