// Q4_0: what do 32 weights in 18 bytes mean?   weight = d * (nibble - 8); low nibbles are weights 0 .. 15, high ones 16 .. 31.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ4_0 {
  uint16_t d;  // f16
  uint8_t nibbles[16];

  static constexpr uint32_t kWeights = 32;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = false;

  void split(int8_t* __restrict codes, float* __restrict scales, float*) const {
    scales[0] = float_from_f16(d);
    for (uint32_t i = 0; i < 16; ++i) {
      codes[i] = static_cast<int8_t>((nibbles[i] & 15) - 8);
      codes[i + 16] = static_cast<int8_t>((nibbles[i] >> 4) - 8);
    }
  }
};
static_assert(sizeof(BlockQ4_0) == 18, "Q4_0 is 18 bytes in the file");

}  // namespace powerinfer
