// How are plain (unquantized) weights and cached keys and values read as f32?
#pragma once
#include <cstring>
#include "../../quant/half.h"
#include "../../quant/q8_0.h"
#include "../kernels.h"
#include "target.h"

namespace powerinfer {

struct ElementF32 {
  static constexpr uint64_t kBytes = 4;
  static float at(const uint8_t* elements, uint64_t i) {
    float value;
    std::memcpy(&value, elements + i * kBytes, kBytes);
    return value;
  }
#if POWERINFER_X86
  TARGET_AVX2 static __m256 load8(const uint8_t* elements, uint64_t i) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(elements + i * kBytes));
  }
  TARGET_AVX512 static __m512 load16(__mmask16 mask, const uint8_t* elements, uint64_t i) {
    return _mm512_maskz_loadu_ps(mask, elements + i * kBytes);
  }
#endif
};

struct ElementF16 {
  static constexpr uint64_t kBytes = 2;
  static float at(const uint8_t* elements, uint64_t i) {
    uint16_t half;
    std::memcpy(&half, elements + i * kBytes, kBytes);
    return float_from_f16(half);
  }
#if POWERINFER_X86
  TARGET_AVX2 static __m256 load8(const uint8_t* elements, uint64_t i) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(elements + i * kBytes)));
  }
  TARGET_AVX512 static __m512 load16(__mmask16 mask, const uint8_t* elements, uint64_t i) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, elements + i * kBytes));
  }
#endif
};

struct ElementBF16 {
  static constexpr uint64_t kBytes = 2;
  static float at(const uint8_t* elements, uint64_t i) {
    uint16_t half;
    std::memcpy(&half, elements + i * kBytes, kBytes);
    return float_from_bf16(half);
  }
#if POWERINFER_X86
  TARGET_AVX2 static __m256 load8(const uint8_t* elements, uint64_t i) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(elements + i * kBytes));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  TARGET_AVX512 static __m512 load16(__mmask16 mask, const uint8_t* elements, uint64_t i) {
    const __m256i halves = _mm256_maskz_loadu_epi16(mask, elements + i * kBytes);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
#endif
};

// In blocks of 32: for caches only, where i counts from the beginning of a head.
struct ElementQ8_0 {
  static float at(const uint8_t* elements, uint64_t i) {
    const BlockQ8_0* const block = reinterpret_cast<const BlockQ8_0*>(elements) + i / 32;
    return float_from_f16(block->d) * block->codes[i % 32];
  }
#if POWERINFER_X86
  // `i` is a multiple of 8.
  TARGET_AVX2 static __m256 load8(const uint8_t* elements, uint64_t i) {
    const BlockQ8_0* const block = reinterpret_cast<const BlockQ8_0*>(elements) + i / 32;
    const __m256 scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(block->d)));
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block->codes + i % 32));
    return _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)));
  }
#endif
};

}  // namespace powerinfer
