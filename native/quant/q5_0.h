// Q5_0: what do 32 weights in 22 bytes mean?   weight = d * (code - 16); bit i of `fifth_bits` is bit 4 of code i.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ5_0 {
  uint16_t d;             // f16
  uint8_t fifth_bits[4];  // u32, little-endian, not aligned
  uint8_t nibbles[16];

  static constexpr uint32_t kWeights = 32;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = false;

  void split(int8_t* __restrict codes, float* __restrict scales, float*) const {
    scales[0] = float_from_f16(d);
    uint32_t bits;
    std::memcpy(&bits, fifth_bits, sizeof bits);
    for (uint32_t i = 0; i < 16; ++i) {
      codes[i] = static_cast<int8_t>(((nibbles[i] & 15) | ((bits >> i & 1) << 4)) - 16);
      codes[i + 16] = static_cast<int8_t>(((nibbles[i] >> 4) | ((bits >> (i + 16) & 1) << 4)) - 16);
    }
  }
};
static_assert(sizeof(BlockQ5_0) == 22, "Q5_0 is 22 bytes in the file");

}  // namespace powerinfer
