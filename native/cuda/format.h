// What are eight weights made of, in each format that the device reads?
//
// An octet is one piece of the plane of codes and, in Q6_K, one of the plane of upper bits; what scales it lies in two planes more. Codes are numbers
// without a sign (code + kZero), the lowest bits first: code k of an octet of nibbles is bits 4 k .. 4 k + 3 of its u32. The two upper bits of code k,
// for k = 4 h + l, are bits 4 l + 2 h and the next of its u16: shifted by four, or by two, those of four codes are each beside its nibble.
#pragma once
#include <type_traits>

#include "../cpu/error.h"
#include "../cpu/kernels.h"
#include "../quant/q4_0.h"
#include "../quant/q4_k.h"
#include "../quant/q6_k.h"
#include "../quant/q8_0.h"

namespace powerinfer::cuda {

// A type without blocks: its octet is eight elements.
template <uint32_t ElementBytes>
struct PlainFormat {
  static constexpr bool kPlain = true;
  static constexpr uint32_t kFileBytes = ElementBytes;      // of a block in the file
  static constexpr uint32_t kCodeBytes = 8 * ElementBytes;  // of an octet
  static constexpr uint32_t kHighBytes = 0;
  static constexpr uint32_t kGroup = 1;
  static constexpr uint32_t kSmallBytes = 0;  // of a group of weights
  static constexpr uint32_t kBlock = 1;
  static constexpr uint32_t kScaleBytes = 0;  // of a block of weights
  static constexpr int kZero = 0, kCentre = 0;
  static constexpr bool kHasOffset = false, kHasSmallScales = false;
  static constexpr uint32_t kGroupOctets = 1, kBlockOctets = 1;
};

// `BlockType` is the file's (native/quant).
template <class BlockType, uint32_t CodeBytes, uint32_t HighBytes, int Zero>
struct BlockFormat {
  using Block = BlockType;
  static constexpr bool kPlain = false;
  static constexpr uint32_t kFileBytes = sizeof(Block);
  static constexpr uint32_t kCodeBytes = CodeBytes;
  static constexpr uint32_t kHighBytes = HighBytes;
  static constexpr int kZero = Zero;
  static constexpr int kCentre = Block::kHasOffset ? 8 : Zero;  // what codes are about: where products begin (octet.cuh)
  static constexpr bool kHasOffset = Block::kHasOffset;
  static constexpr bool kHasSmallScales = Block::kWeights == 256;
  static constexpr uint32_t kGroup = Block::kGroup;
  static constexpr uint32_t kSmallBytes = kHasSmallScales ? (kHasOffset ? 2 : 1) : 0;  // i8 scale, i8 minimum
  static constexpr uint32_t kBlock = Block::kWeights;
  static constexpr uint32_t kScaleBytes = kHasOffset ? 4 : 2;  // f16 d, f16 dmin
  static constexpr uint32_t kGroupOctets = kGroup / 8, kBlockOctets = kBlock / 8;
};

template <uint32_t Type> struct Format;
template <> struct Format<F32> : PlainFormat<4> {};
template <> struct Format<F16> : PlainFormat<2> {};
template <> struct Format<BF16> : PlainFormat<2> {};
template <> struct Format<Q8_0> : BlockFormat<BlockQ8_0, 8, 0, 128> {};
template <> struct Format<Q4_0> : BlockFormat<BlockQ4_0, 4, 0, 8> {};
template <> struct Format<Q4_K> : BlockFormat<BlockQ4_K, 4, 0, 0> {};
template <> struct Format<Q6_K> : BlockFormat<BlockQ6_K, 4, 2, 32> {};

// Fails with UNSUPPORTED: says which types there are instead.
[[noreturn]] void refuse_type(uint32_t type);

// Calls f with the type as an integral constant. Fails with UNSUPPORTED if the device has no layout for it.
template <class F>
auto with_type(uint32_t type, F&& f) {
  switch (type) {
    case F32: return f(std::integral_constant<uint32_t, F32>{});
    case F16: return f(std::integral_constant<uint32_t, F16>{});
    case BF16: return f(std::integral_constant<uint32_t, BF16>{});
    case Q8_0: return f(std::integral_constant<uint32_t, Q8_0>{});
    case Q4_0: return f(std::integral_constant<uint32_t, Q4_0>{});
    case Q4_K: return f(std::integral_constant<uint32_t, Q4_K>{});
    case Q6_K: return f(std::integral_constant<uint32_t, Q6_K>{});
    default: refuse_type(type);
  }
}

}  // namespace powerinfer::cuda
