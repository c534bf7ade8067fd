// Floats to halves, round to nearest even. Every variant gives the same bits (F16C's NaNs included).
#include "variants.h"

namespace powerinfer {

void convert_to_f16_scalar(const float* values, uint16_t* halves, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) halves[i] = f16_from_float(values[i]);
}

#if POWERINFER_X86
TARGET_AVX2 void convert_to_f16_avx2(const float* values, uint16_t* halves, uint64_t count) {
  uint64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + i), _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT));
  convert_to_f16_scalar(values + i, halves + i, count - i);
}
#endif

}  // namespace powerinfer
