// G2 and G3: what do 64 weights in 18 or 26 bytes mean?   weight = d * (2 * code - largest), code in 0 .. 3 or 0 .. 7, largest 3 or 7.
//
// Of predictors, no file has them: a gate that is only asked whether it is above zero. Levels are symmetric and none is zero, so that the sign of every
// weight survives.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockG2 {
  uint16_t d;         // f16
  uint8_t pairs[16];  // the code of weight 16 k + i is bits 2 k, 2 k + 1 of pairs[i]

  static constexpr uint32_t kWeights = 64;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = false;

  void split(int8_t* __restrict codes, float* __restrict scales, float*) const {
    scales[0] = scales[1] = float_from_f16(d);
    for (uint32_t w = 0; w < 64; ++w) codes[w] = static_cast<int8_t>(2 * (pairs[w % 16] >> (2 * (w / 16)) & 3) - 3);
  }
};
static_assert(sizeof(BlockG2) == 18);

struct __attribute__((packed)) BlockG3 {
  uint16_t d;         // f16
  uint8_t pairs[16];  // the lower two bits of codes, as in G2
  uint8_t thirds[8];  // the third bit of weight 8 k + i is bit k of thirds[i]

  static constexpr uint32_t kWeights = 64;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = false;

  void split(int8_t* __restrict codes, float* __restrict scales, float*) const {
    scales[0] = scales[1] = float_from_f16(d);
    for (uint32_t w = 0; w < 64; ++w) {
      const int code = (pairs[w % 16] >> (2 * (w / 16)) & 3) | (thirds[w % 8] >> (w / 8) & 1) << 2;
      codes[w] = static_cast<int8_t>(2 * code - 7);
    }
  }
};
static_assert(sizeof(BlockG3) == 26);

}  // namespace powerinfer
