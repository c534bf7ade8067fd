// Q2_K: what do 256 weights in 84 bytes mean?   weight = d * scale * code - dmin * minimum, code in 0 .. 3, per 16 weights.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ2_K {
  uint8_t scales[16];  // of 16 weights each: scale in the low nibble, minimum in the high one
  uint8_t pairs[64];   // weight 128 n + 32 j + l is bits 2j, 2j + 1 of pairs[32 n + l]
  uint16_t d;          // f16
  uint16_t dmin;       // f16

  static constexpr uint32_t kWeights = 256;
  static constexpr uint32_t kGroup = 16;
  static constexpr bool kHasOffset = true;

  // What d and dmin are multiplied by in each group.
  void small_scales(int8_t* __restrict to_scales, int8_t* __restrict minimums) const {
    for (uint32_t group = 0; group < 16; ++group) {
      to_scales[group] = static_cast<int8_t>(scales[group] & 15);
      minimums[group] = static_cast<int8_t>(scales[group] >> 4);
    }
  }
  void split(int8_t* __restrict codes, float* __restrict to_scales, float* __restrict offsets) const {
    const float scale = float_from_f16(d), minimum = float_from_f16(dmin);
    int8_t factors[16], minimums[16];
    small_scales(factors, minimums);
    for (uint32_t group = 0; group < 16; ++group) {
      to_scales[group] = scale * static_cast<float>(factors[group]);
      offsets[group] = -(minimum * static_cast<float>(minimums[group]));
    }
    for (uint32_t n = 0; n < 2; ++n)
      for (uint32_t j = 0; j < 4; ++j)
        for (uint32_t l = 0; l < 32; ++l) codes[128 * n + 32 * j + l] = static_cast<int8_t>(pairs[32 * n + l] >> (2 * j) & 3);
  }
};
static_assert(sizeof(BlockQ2_K) == 84, "Q2_K is 84 bytes in the file");

}  // namespace powerinfer
