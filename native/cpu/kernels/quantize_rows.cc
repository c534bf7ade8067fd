// Activations as 8-bit or 16-bit codes, one scale per 32 of them. Every variant gives the same bits.
#include <cmath>
#include "variants.h"

namespace powerinfer {

namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;
// Below this, 32767 / largest could overflow. No activation this small reaches a result.
constexpr float kSmallest = 1e-30f;
// Where in a step code i of 16 bits lies: of every four, the middle two change places.
constexpr uint32_t kWordPlace[4] = {0, 2, 1, 3};

// How 32 values with this largest magnitude become codes up to code_max.
struct Scaling {
  float scale;
  float inverse;  // 0: every code is 0

  Scaling(uint32_t largest_bits, float code_max) {
    const float largest = float_from_bits(largest_bits);
    const bool finite = largest_bits < kInfinityBits, tiny = largest < kSmallest;
    inverse = finite && !tiny ? code_max / largest : 0.0f;
    scale = !finite ? NAN : tiny ? 0.0f : largest / code_max;
  }
};

uint32_t largest_bits_of(const float* x) {
  uint32_t largest = 0;  // magnitudes order as integers, with NaN above everything
  for (uint32_t i = 0; i < 32; ++i) {
    const uint32_t magnitude = bits_from_float(x[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

}  // namespace

// The definition: code = round to even (value · (127 / largest)), scale = largest / 127, with largest = max |value|. A step with an
// infinity or a NaN gets codes 0 and scale NaN, so that what multiplies it becomes NaN; a step below 1e-30 becomes 0.
void quantize_bytes_scalar(const float* values, uint32_t width, uint32_t row_count, int8_t* codes, float* scales, int16_t* sums) {
  for (uint32_t step = 0; step < width / 32; ++step, values += 32, codes += row_count * 32, scales += row_count, sums += row_count * 2) {
    const Scaling scaling(largest_bits_of(values), 127);
    *scales = scaling.scale;
    for (uint32_t half = 0; half < 2; ++half) {
      int sum = 0;
      for (uint32_t i = half * 16; i < half * 16 + 16; ++i) {
        codes[i] = scaling.inverse != 0 ? static_cast<int8_t>(std::nearbyint(values[i] * scaling.inverse)) : 0;
        sum += codes[i];
      }
      sums[half] = static_cast<int16_t>(sum);
    }
  }
}

// The same with 32767 in the place of 127.
void quantize_words_scalar(const float* values, uint32_t width, uint32_t row_count, int16_t* codes, float* scales) {
  for (uint32_t step = 0; step < width / 32; ++step, values += 32, codes += row_count * 32, scales += row_count) {
    const Scaling scaling(largest_bits_of(values), 32767);
    *scales = scaling.scale;
    for (uint32_t i = 0; i < 32; ++i) {
      codes[i / 4 * 4 + kWordPlace[i % 4]] = scaling.inverse != 0 ? static_cast<int16_t>(std::nearbyint(values[i] * scaling.inverse)) : int16_t{0};
    }
  }
}

#if POWERINFER_X86
namespace {

// 32 values and the largest of their magnitudes.
struct Step {
  __m256 x[4];
  uint32_t largest_bits;

  TARGET_AVX2 POWERINFER_INLINE explicit Step(const float* values) {
    __m256i largest_of = _mm256_setzero_si256();
    FOR_REGISTERS(i, 4) {
      x[i] = _mm256_loadu_ps(values + 8 * i);
      largest_of = _mm256_max_epi32(largest_of, _mm256_and_si256(_mm256_castps_si256(x[i]), _mm256_set1_epi32(0x7fffffff)));
    }
    __m128i most = _mm_max_epi32(_mm256_castsi256_si128(largest_of), _mm256_extracti128_si256(largest_of, 1));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
    most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1));
    largest_bits = static_cast<uint32_t>(_mm_cvtsi128_si32(most));
  }
  // Codes as 16-bit words: words[0] = 0 .. 3, 8 .. 11, then 4 .. 7, 12 .. 15, because packing works in halves; words[1] likewise from 16 on.
  TARGET_AVX2 POWERINFER_INLINE void words(float inverse, __m256i (&words)[2]) const {
    __m256i codes[4];
    FOR_REGISTERS(i, 4) codes[i] = inverse != 0 ? _mm256_cvtps_epi32(_mm256_mul_ps(x[i], _mm256_set1_ps(inverse))) : _mm256_setzero_si256();
    FOR_REGISTERS(i, 2) words[i] = _mm256_packs_epi32(codes[2 * i], codes[2 * i + 1]);
  }
};

}  // namespace

TARGET_AVX2 void quantize_bytes_avx2(const float* values, uint32_t width, uint32_t row_count, int8_t* codes, float* scales, int16_t* sums) {
  for (uint32_t at = 0; at < width; at += 32, codes += row_count * 32, scales += row_count, sums += row_count * 2) {
    const Step step(values + at);
    const Scaling scaling(step.largest_bits, 127);
    *scales = scaling.scale;
    __m256i words[2];
    step.words(scaling.inverse, words);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words[0], words[1]), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), bytes);
    // Sums of eight: unsigned distances from -128, then the offset taken back.
    const __m256i eights = _mm256_sad_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(128))), _mm256_setzero_si256());
    sums[0] = static_cast<int16_t>(_mm256_extract_epi16(eights, 0) + _mm256_extract_epi16(eights, 4) - 16 * 128);
    sums[1] = static_cast<int16_t>(_mm256_extract_epi16(eights, 8) + _mm256_extract_epi16(eights, 12) - 16 * 128);
  }
}

TARGET_AVX2 void quantize_words_avx2(const float* values, uint32_t width, uint32_t row_count, int16_t* codes, float* scales) {
  for (uint32_t at = 0; at < width; at += 32, codes += row_count * 32, scales += row_count) {
    const Step step(values + at);
    const Scaling scaling(step.largest_bits, 32767);
    *scales = scaling.scale;
    __m256i words[2];
    step.words(scaling.inverse, words);
    FOR_REGISTERS(i, 2) {
      const __m256i ordered = _mm256_permute4x64_epi64(words[i], 0xd8);
      const __m256i swapped = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(ordered, 0xd8), 0xd8);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + 16 * i), swapped);
    }
  }
}
#endif

}  // namespace powerinfer
