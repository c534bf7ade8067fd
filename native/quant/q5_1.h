// Q5_1: what do 32 weights in 24 bytes mean?   weight = d * code + m; bit i of `fifth_bits` is bit 4 of code i.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ5_1 {
  uint16_t d;             // f16
  uint16_t m;             // f16
  uint8_t fifth_bits[4];  // u32, little-endian, not aligned
  uint8_t nibbles[16];

  static constexpr uint32_t kWeights = 32;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = true;

  void split(int8_t* __restrict codes, float* __restrict scales, float* __restrict offsets) const {
    scales[0] = float_from_f16(d);
    offsets[0] = float_from_f16(m);
    uint32_t bits;
    std::memcpy(&bits, fifth_bits, sizeof bits);
    for (uint32_t i = 0; i < 16; ++i) {
      codes[i] = static_cast<int8_t>((nibbles[i] & 15) | ((bits >> i & 1) << 4));
      codes[i + 16] = static_cast<int8_t>((nibbles[i] >> 4) | ((bits >> (i + 16) & 1) << 4));
    }
  }
};
static_assert(sizeof(BlockQ5_1) == 24, "Q5_1 is 24 bytes in the file");

}  // namespace powerinfer
