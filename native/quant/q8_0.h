// Q8_0: what do 32 weights in 34 bytes mean?   weight = d * code, code in -128 .. 127.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ8_0 {
  uint16_t d;  // f16
  int8_t codes[32];

  static constexpr uint32_t kWeights = 32;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = false;

  void split(int8_t* __restrict to_codes, float* __restrict scales, float*) const {
    scales[0] = float_from_f16(d);
    std::memcpy(to_codes, codes, sizeof codes);
  }
};
static_assert(sizeof(BlockQ8_0) == 34, "Q8_0 is 34 bytes in the file");

}  // namespace powerinfer
