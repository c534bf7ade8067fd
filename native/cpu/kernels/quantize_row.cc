// Activations as 8-bit codes, one scale per 32 of them, and the sum of every 16 codes. Every variant gives the same bits.
#include <cmath>
#include "variants.h"

namespace powerinfer {

namespace {
constexpr uint32_t kInfinityBits = 0x7f800000u;
// Below this, 127 / largest could overflow. No activation this small reaches a result.
constexpr float kSmallest = 1e-30f;
}  // namespace

// The definition: code = round to even (value · (127 / largest)), scale = largest / 127, with largest = max |value|. A block with an
// infinity or a NaN gets codes 0 and scale NaN, so that what multiplies it becomes NaN; a block below 1e-30 becomes 0.
void quantize_row_scalar(const float* values, uint32_t width, int8_t* codes, float* scales, int16_t* sums) {
  for (uint32_t block = 0; block < width / 32; ++block) {
    const float* x = values + uint64_t{block} * 32;
    uint32_t largest_bits = 0;  // magnitudes order as integers, with NaN above everything
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t magnitude = bits_from_float(x[i]) & 0x7fffffffu;
      largest_bits = magnitude > largest_bits ? magnitude : largest_bits;
    }
    const float largest = float_from_bits(largest_bits);
    const bool finite = largest_bits < kInfinityBits, tiny = largest < kSmallest;
    const float inverse = finite && !tiny ? 127.0f / largest : 0.0f;
    scales[block] = !finite ? NAN : tiny ? 0.0f : largest / 127.0f;
    for (uint32_t half = 0; half < 2; ++half) {
      int sum = 0;
      for (uint32_t i = half * 16; i < half * 16 + 16; ++i) {
        const int8_t code = inverse != 0 ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : 0;
        codes[uint64_t{block} * 32 + i] = code;
        sum += code;
      }
      sums[block * 2 + half] = static_cast<int16_t>(sum);
    }
  }
}

#if POWERINFER_X86
TARGET_AVX2 void quantize_row_avx2(const float* values, uint32_t width, int8_t* codes, float* scales, int16_t* sums) {
  for (uint32_t block = 0; block < width / 32; ++block) {
    __m256 x[4];
    __m256i largest_of = _mm256_setzero_si256();
    for (uint32_t i = 0; i < 4; ++i) {
      x[i] = _mm256_loadu_ps(values + uint64_t{block} * 32 + 8 * i);
      largest_of = _mm256_max_epi32(largest_of, _mm256_and_si256(_mm256_castps_si256(x[i]), _mm256_set1_epi32(0x7fffffff)));
    }
    __m128i most = _mm_max_epi32(_mm256_castsi256_si128(largest_of), _mm256_extracti128_si256(largest_of, 1));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1));
    const uint32_t largest_bits = static_cast<uint32_t>(_mm_cvtsi128_si32(most));
    const float largest = float_from_bits(largest_bits);
    const bool finite = largest_bits < kInfinityBits, tiny = largest < kSmallest;
    scales[block] = !finite ? NAN : tiny ? 0.0f : largest / 127.0f;
    __m256i bytes = _mm256_setzero_si256();
    if (finite && !tiny) {
      const __m256 inverse = _mm256_set1_ps(127.0f / largest);
      __m256i words[4];
      for (uint32_t i = 0; i < 4; ++i) words[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], inverse));
      bytes = _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]), _mm256_packs_epi32(words[2], words[3]));
      bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));  // packs interleave their halves
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + uint64_t{block} * 32), bytes);
    // Sums of eight: unsigned distances from -128, then the offset taken back.
    const __m256i eights = _mm256_sad_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(128))), _mm256_setzero_si256());
    sums[block * 2] = static_cast<int16_t>(_mm256_extract_epi16(eights, 0) + _mm256_extract_epi16(eights, 4) - 16 * 128);
    sums[block * 2 + 1] = static_cast<int16_t>(_mm256_extract_epi16(eights, 8) + _mm256_extract_epi16(eights, 12) - 16 * 128);
  }
}
#endif

}  // namespace powerinfer
