// Eight consecutive weights of a row, decoded: exactly those of powerinfer_dequantize.
//
// The products d * scale and scale * code are exact in f32 (quant/decode.h), so an fma rounds once, where the definition does.
#pragma once
#include "cuda.h"
#include "format.h"
#include "matrix.h"

namespace powerinfer::cuda {

// Words of a piece of up to 32 bytes, by loads as wide as its alignment allows: pieces are aligned to their size, or to 16.
template <uint32_t Words>
__device__ inline void load_words(const uint8_t* piece, uint32_t (&words)[Words]) {
  if constexpr (Words % 4 == 0) {
#pragma unroll
    for (uint32_t k = 0; k < Words; k += 4) {
      const uint4 four = *reinterpret_cast<const uint4*>(piece + 4 * k);
      words[k] = four.x, words[k + 1] = four.y, words[k + 2] = four.z, words[k + 3] = four.w;
    }
  } else if constexpr (Words == 2) {
    const uint2 two = *reinterpret_cast<const uint2*>(piece);
    words[0] = two.x, words[1] = two.y;
  } else {
    words[0] = *reinterpret_cast<const uint32_t*>(piece);
  }
}

// Field k of words that hold fields of 1, 2 or 4 bytes.
template <uint32_t Bytes, uint32_t Words>
__device__ inline uint32_t field(const uint32_t (&words)[Words], uint32_t k) {
  if constexpr (Bytes == 4) return words[k];
  else return words[k * Bytes / 4] >> (8 * (k * Bytes % 4)) & ((1u << (8 * Bytes)) - 1);
}

// A field that is alone; 0 where a format has none.
template <uint32_t Bytes>
__device__ inline uint32_t field_at(const uint8_t* bytes) {
  if constexpr (Bytes == 4) return *reinterpret_cast<const uint32_t*>(bytes);
  else if constexpr (Bytes == 2) return *reinterpret_cast<const uint16_t*>(bytes);
  else if constexpr (Bytes == 1) return *bytes;
  else return 0;
}

__device__ inline float f32_of_f16(uint32_t bits) { return __half2float(__ushort_as_half(static_cast<uint16_t>(bits))); }

// The elements of octet `at` of a type without blocks, counted from the first row's.
template <uint32_t Type>
__device__ inline void elements(const DeviceMatrix& matrix, uint64_t at, float (&w)[8]) {
  constexpr uint32_t kBytes = Format<Type>::kFileBytes;
  uint32_t words[2 * kBytes];
  load_words(matrix.codes + at * (8 * kBytes), words);
#pragma unroll
  for (uint32_t k = 0; k < 8; ++k) {
    const uint32_t bits = field<kBytes>(words, k);
    w[k] = Type == F32 ? __uint_as_float(bits) : Type == F16 ? f32_of_f16(bits) : __uint_as_float(bits << 16);
  }
}

// The codes of octet `at` of a block type.
template <uint32_t Type>
__device__ inline void codes(const DeviceMatrix& matrix, uint64_t at, float (&to)[8]) {
  using F = Format<Type>;
  uint32_t words[F::kCodeBytes / 4];
  load_words(matrix.codes + at * F::kCodeBytes, words);
  const uint32_t pairs = field_at<F::kHighBytes>(matrix.high + at * F::kHighBytes);
#pragma unroll
  for (uint32_t k = 0; k < 8; ++k) {
    if constexpr (F::kCodeBytes == 8) to[k] = static_cast<float>(static_cast<int8_t>(field<1>(words, k)));
    else to[k] = static_cast<float>(static_cast<int>((words[0] >> (4 * k) & 15) | (pairs >> (2 * k) & 3) << 4) - F::kZero);
  }
}

// scale * code + offset. `halves` is d, and dmin above it; `factors` the group's scale, and its minimum above it.
template <uint32_t Type>
__device__ inline float weight(float code, uint32_t halves, uint32_t factors) {
  using F = Format<Type>;
  const float d = f32_of_f16(halves & 0xffff);
  if constexpr (F::kHasOffset) {
    const float minimum = f32_of_f16(halves >> 16) * static_cast<float>(factors >> 8);
    return fmaf(d * static_cast<float>(factors & 0xff), code, -minimum);
  } else if constexpr (F::kHasSmallScales) {
    return d * static_cast<float>(static_cast<int8_t>(factors)) * code;
  } else {
    return d * code;
  }
}

// Weights 8 i .. 8 i + 7 of a row, for i < octets_of(matrix.width).
template <uint32_t Type>
__device__ inline void octet(const DeviceMatrix& matrix, uint32_t row, uint32_t i, float (&w)[8]) {
  using F = Format<Type>;
  const uint64_t at = uint64_t{row} * octets_of(matrix.width) + i;
  if constexpr (F::kPlain) {
    elements<Type>(matrix, at, w);
  } else {
    // Rows are whole blocks: group and block of an octet follow from its place in the matrix.
    const uint32_t halves = field_at<F::kScaleBytes>(matrix.scales + at / (F::kBlock / 8) * F::kScaleBytes);
    const uint32_t factors = field_at<F::kSmallBytes>(matrix.small_scales + at / (F::kGroup / 8) * F::kSmallBytes);
    codes<Type>(matrix, at, w);
#pragma unroll
    for (uint32_t k = 0; k < 8; ++k) w[k] = weight<Type>(w[k], halves, factors);
  }
}

// What neuron `row` of the share has for columns 8 i .. 8 i + 7, where every column has scales of its own.
template <uint32_t Type>
__device__ inline void column_octet(const DownMatrix& down, uint32_t row, uint32_t i, float (&w)[8]) {
  using F = Format<Type>;
  const DeviceMatrix& matrix = down.rows;
  const uint32_t octets = octets_of(matrix.width);
  const uint32_t neuron = down.neurons[row];
  uint32_t halves[2 * F::kScaleBytes];
  load_words(matrix.scales + (uint64_t{neuron / F::kBlock} * octets + i) * (8 * F::kScaleBytes), halves);
  codes<Type>(matrix, uint64_t{row} * octets + i, w);
  if constexpr (F::kHasSmallScales) {
    uint32_t factors[2 * F::kSmallBytes];
    load_words(matrix.small_scales + (uint64_t{neuron / F::kGroup} * octets + i) * (8 * F::kSmallBytes), factors);
#pragma unroll
    for (uint32_t k = 0; k < 8; ++k) w[k] = weight<Type>(w[k], field<F::kScaleBytes>(halves, k), field<F::kSmallBytes>(factors, k));
  } else {
#pragma unroll
    for (uint32_t k = 0; k < 8; ++k) w[k] = weight<Type>(w[k], field<F::kScaleBytes>(halves, k), 0);
  }
}

// What neuron `row` of the share has for columns 8 i .. 8 i + 7.
template <uint32_t Type>
__device__ inline void octet(const DownMatrix& down, uint32_t row, uint32_t i, float (&w)[8]) {
  if constexpr (!Format<Type>::kPlain) {
    if (down.columns) return column_octet<Type>(down, row, i, w);
  }
  octet<Type>(down.rows, row, i, w);
}

}  // namespace powerinfer::cuda
