// Eight codes as an octet, and what scales a block: what rows and columns are packed with.
#pragma once
#include <cstring>

#include "format.h"

namespace powerinfer::cuda {

// `codes` as Block::split gives them; `high` is not touched by formats without upper bits.
template <uint32_t Type>
void pack_octet(const int8_t* codes, uint8_t* octet, uint8_t* high) {
  using F = Format<Type>;
  if constexpr (F::kCodeBytes == 8) {
    for (uint32_t k = 0; k < 8; ++k) octet[k] = static_cast<uint8_t>(codes[k] + F::kZero);
  } else {
    uint32_t nibbles = 0;
    uint32_t pairs = 0;
    for (uint32_t k = 0; k < 8; ++k) {
      const uint32_t code = static_cast<uint32_t>(codes[k] + F::kZero);
      nibbles |= (code & 15) << (4 * k);
      pairs |= (code >> 4) << (k % 4 * 4 + k / 4 * 2);
    }
    std::memcpy(octet, &nibbles, sizeof nibbles);
    if constexpr (F::kHighBytes != 0) std::memcpy(high, &pairs, F::kHighBytes);
  }
}

// The halves of a block: d, or d and dmin.
template <class F>
void pack_scales(const typename F::Block& block, uint8_t* to) {
  std::memcpy(to, &block.d, 2);
  if constexpr (F::kHasOffset) std::memcpy(to + 2, &block.dmin, 2);
}

// What they are multiplied by in group g, at to + g * stride_bytes: a scale, or a scale and a minimum.
template <class F>
void pack_small_scales(const typename F::Block& block, uint8_t* to, uint64_t stride_bytes) {
  constexpr uint32_t kGroups = F::kBlock / F::kGroup;
  int8_t scales[kGroups], minimums[kGroups];
  block.small_scales(scales, minimums);
  for (uint32_t group = 0; group < kGroups; ++group) {
    std::memcpy(to + group * stride_bytes, &scales[group], 1);
    if constexpr (F::kHasOffset) std::memcpy(to + group * stride_bytes + 1, &minimums[group], 1);
  }
}

template <class F>
void codes_of(const typename F::Block& block, int8_t* codes) {
  constexpr uint32_t kGroups = F::kBlock / F::kGroup;
  float scales[kGroups], offsets[kGroups];  // the device makes its own
  block.split(codes, scales, offsets);
}

}  // namespace powerinfer::cuda
