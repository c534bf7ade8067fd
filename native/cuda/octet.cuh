// Eight consecutive weights of a row: how they are loaded, and how they become numbers.
//
// Loading and decoding are two steps: what was loaded takes few registers, so several octets can be under way at once.
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

// Bits first .. first + count of the word, as a number, less `zero`; first + count <= 23. They become the end of a mantissa, where they are what a float
// has beyond 2^(23 - first): an `or` and a subtraction, both exact. The GPU's own conversion has a quarter of their throughput, or an eighth.
__device__ inline float number(uint32_t word, uint32_t first, uint32_t count, int zero) {
  const uint32_t bits = word & ((1u << count) - 1) << first;
  return __uint_as_float(bits | (150 - first) << 23) - static_cast<float>((1 << (23 - first)) + zero);
}

// Where the octets of a row are from one of them on: their codes, and what scales them.
struct CodePlanes {
  const uint8_t *codes, *high;
};
struct ScalePlanes {
  const uint8_t *small_scales, *scales;
};

// Octet i of a row. Octets of a matrix are fewer than 2^32 (layout_of), and rows are whole blocks: an octet's number tells its group and block too.
template <uint32_t Type>
__device__ inline CodePlanes codes_at(const DeviceMatrix& matrix, uint32_t row, uint32_t i) {
  const uint32_t at = row * octets_of(matrix.width) + i;
  return {matrix.codes + uint64_t{at} * Format<Type>::kCodeBytes, matrix.high + uint64_t{at} * Format<Type>::kHighBytes};
}
template <uint32_t Type>
__device__ inline ScalePlanes scales_at(const DeviceMatrix& matrix, uint32_t row, uint32_t i) {
  using F = Format<Type>;
  const uint32_t at = row * octets_of(matrix.width) + i;
  return {matrix.small_scales + uint64_t{at / F::kGroupOctets} * F::kSmallBytes, matrix.scales + uint64_t{at / F::kBlockOctets} * F::kScaleBytes};
}

// The same `octets` further along the row, a multiple of 32: these are whole blocks in every format, so every plane goes on by a constant.
template <uint32_t Type>
__device__ inline CodePlanes further(const CodePlanes& planes, uint32_t octets) {
  return {planes.codes + octets * Format<Type>::kCodeBytes, planes.high + octets * Format<Type>::kHighBytes};
}
template <uint32_t Type>
__device__ inline ScalePlanes further(const ScalePlanes& planes, uint32_t octets) {
  using F = Format<Type>;
  static_assert(32 % F::kBlockOctets == 0);
  return {planes.small_scales + octets / F::kGroupOctets * F::kSmallBytes, planes.scales + octets / F::kBlockOctets * F::kScaleBytes};
}

// Octets that follow each other, one or from an even one on two, and their scale, as they lie in memory: two have the same scale in every format.
template <uint32_t Type, uint32_t Octets = 1>
struct PackedCodes {
  uint32_t codes[Octets * Format<Type>::kCodeBytes / 4];
  uint32_t pairs;  // Q6_K
};
struct PackedScale {
  uint32_t factors;  // K types: the group's scale, and its minimum above it
  uint32_t halves;   // d, and dmin above it
};

template <uint32_t Type, uint32_t Octets = 1>
__device__ inline PackedCodes<Type, Octets> load(const CodePlanes& planes) {
  PackedCodes<Type, Octets> packed;
  load_words(planes.codes, packed.codes);
  packed.pairs = field_at<Octets * Format<Type>::kHighBytes>(planes.high);
  return packed;
}
template <uint32_t Type>
__device__ inline PackedScale load(const ScalePlanes& planes) {
  return {field_at<Format<Type>::kSmallBytes>(planes.small_scales), field_at<Format<Type>::kScaleBytes>(planes.scales)};
}

// What codes are multiplied by: weight = scale * code - minimum. Both are exact in f32 (quant/decode.h).
struct Scale {
  float scale, minimum;
};

template <uint32_t Type>
__device__ inline Scale decode(const PackedScale& packed) {
  using F = Format<Type>;
  const float d = f32_of_f16(packed.halves);
  if constexpr (F::kHasOffset) return {d * number(packed.factors, 0, 8, 0), f32_of_f16(packed.halves >> 16) * number(packed.factors, 8, 8, 0)};
  else if constexpr (F::kHasSmallScales) return {d * number(packed.factors ^ 0x80, 0, 8, 128), 0};
  else return {d, 0};
}

// Codes less `zero`; of a type without blocks the elements.
template <uint32_t Type, uint32_t Octets>
__device__ inline void decode(const PackedCodes<Type, Octets>& packed, int zero, float (&codes)[8 * Octets]) {
  using F = Format<Type>;
#pragma unroll
  for (uint32_t at = 0; at < 8 * Octets; ++at) {
    const uint32_t octet = at / 8, k = at % 8;
    if constexpr (F::kPlain) {
      const uint32_t bits = field<F::kFileBytes>(packed.codes, at);
      codes[at] = Type == F32 ? __uint_as_float(bits) : Type == F16 ? f32_of_f16(bits) : __uint_as_float(bits << 16);
    } else if constexpr (F::kCodeBytes == 8) {
      codes[at] = number(packed.codes[at / 4] >> k % 4 / 2 * 16, k % 2 * 8, 8, zero);
    } else if constexpr (F::kHighBytes == 0) {
      codes[at] = number(packed.codes[octet] >> k / 5 * 12, k % 5 * 4 + k / 5 * 8, 4, zero);
    } else {
      // A nibble and its pair beside each other: pack_octet has put pairs so that four fit at once.
      const uint32_t low = packed.codes[octet] >> k / 4 * 16, high = packed.pairs >> 16 * octet << (4 - k / 4 * 2), first = k % 4 * 4;
      codes[at] = number((low & 15u << first) | (high & 48u << first), first, 6, zero);
    }
  }
}

// Weights, exactly those of powerinfer_dequantize: the fma rounds once, where the definition does. Scale k is of weight k.
template <uint32_t Type, uint32_t Octets, class ScaleOf>
__device__ inline void weights_of(const PackedCodes<Type, Octets>& packed, ScaleOf&& scale, float (&w)[8 * Octets]) {
  using F = Format<Type>;
  decode(packed, F::kZero, w);
#pragma unroll
  for (uint32_t k = 0; !F::kPlain && k < 8 * Octets; ++k) {
    const Scale of = scale(k);
    w[k] = F::kHasOffset ? fmaf(of.scale, w[k], -of.minimum) : of.scale * w[k];
  }
}

// Weights 8 i .. 8 i + 7 of a row, for i < octets_of(matrix.width): exactly those of powerinfer_dequantize.
template <uint32_t Type>
__device__ inline void weights_at(const DeviceMatrix& matrix, uint32_t row, uint32_t i, float (&w)[8]) {
  const Scale of = decode<Type>(load<Type>(scales_at<Type>(matrix, row, i)));
  weights_of(load<Type>(codes_at<Type>(matrix, row, i)), [&](uint32_t) { return of; }, w);
}

// What scales the columns of an octet or two of a DownMatrix that have scales of their own.
template <uint32_t Type, uint32_t Octets = 1>
struct PackedColumnScales {
  using F = Format<Type>;
  uint32_t factors[F::kHasSmallScales ? Octets * 2 * F::kSmallBytes : 1];
  uint32_t halves[Octets * 2 * F::kScaleBytes];

  __device__ Scale operator()(uint32_t column) const {
    PackedScale packed{0, field<F::kScaleBytes>(halves, column)};
    if constexpr (F::kHasSmallScales) packed.factors = field<F::kSmallBytes>(factors, column);
    return decode<Type>(packed);
  }
};

template <uint32_t Type, uint32_t Octets = 1>
__device__ inline PackedColumnScales<Type, Octets> load_column_scales(const DownMatrix& down, uint32_t row, uint32_t i) {
  using F = Format<Type>;
  const DeviceMatrix& matrix = down.rows;
  const uint32_t octets = octets_of(matrix.width), neuron = down.neurons[row];  // its number in the model
  PackedColumnScales<Type, Octets> packed;
  if constexpr (F::kHasSmallScales) {
    load_words(matrix.small_scales + (uint64_t{neuron / F::kGroup} * octets + i) * (8 * F::kSmallBytes), packed.factors);
  }
  load_words(matrix.scales + (uint64_t{neuron / F::kBlock} * octets + i) * (8 * F::kScaleBytes), packed.halves);
  return packed;
}

// What neuron `row` of the share has for columns 8 i .. 8 i + 7.
template <uint32_t Type>
__device__ inline void weights_at(const DownMatrix& down, uint32_t row, uint32_t i, float (&w)[8]) {
  if constexpr (!Format<Type>::kPlain) {
    if (down.columns) return weights_of(load<Type>(codes_at<Type>(down.rows, row, i)), load_column_scales<Type>(down, row, i), w);
  }
  weights_at<Type>(down.rows, row, i, w);
}

}  // namespace powerinfer::cuda
