// Q4_1: what do 32 weights in 20 bytes mean?   weight = d * nibble + m; low nibbles are weights 0 .. 15, high ones 16 .. 31.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ4_1 {
  uint16_t d;  // f16
  uint16_t m;  // f16
  uint8_t nibbles[16];

  static constexpr uint32_t kWeights = 32;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = true;

  void split(int8_t* __restrict codes, float* __restrict scales, float* __restrict offsets) const {
    scales[0] = float_from_f16(d);
    offsets[0] = float_from_f16(m);
    for (uint32_t i = 0; i < 16; ++i) {
      codes[i] = static_cast<int8_t>(nibbles[i] & 15);
      codes[i + 16] = static_cast<int8_t>(nibbles[i] >> 4);
    }
  }
};
static_assert(sizeof(BlockQ4_1) == 20, "Q4_1 is 20 bytes in the file");

}  // namespace powerinfer
