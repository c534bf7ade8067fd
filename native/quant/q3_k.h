// Q3_K: what do 256 weights in 110 bytes mean?   weight = d * (scale - 32) * code, code in -4 .. 3, per 16 weights.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ3_K {
  uint8_t third_bits[32];  // bit 4 n + j of third_bits[l] set: code 128 n + 32 j + l is not lowered by 4
  uint8_t pairs[64];       // weight 128 n + 32 j + l is bits 2j, 2j + 1 of pairs[32 n + l]
  uint8_t scales[12];      // sixteen 6-bit scales: low nibbles of 0 .. 7, of 8 .. 15 above them, then upper pairs, four to a byte
  uint16_t d;              // f16

  static constexpr uint32_t kWeights = 256;
  static constexpr uint32_t kGroup = 16;
  static constexpr bool kHasOffset = false;

  // What d is multiplied by in each group.
  void small_scales(int8_t* __restrict to_scales, int8_t*) const {
    for (uint32_t group = 0; group < 16; ++group) {
      const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
      const int high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
      to_scales[group] = static_cast<int8_t>((low | high << 4) - 32);
    }
  }
  void split(int8_t* __restrict codes, float* __restrict to_scales, float*) const {
    const float scale = float_from_f16(d);
    int8_t factors[16];
    small_scales(factors, nullptr);
    for (uint32_t group = 0; group < 16; ++group) to_scales[group] = scale * static_cast<float>(factors[group]);
    for (uint32_t n = 0; n < 2; ++n)
      for (uint32_t j = 0; j < 4; ++j)
        for (uint32_t l = 0; l < 32; ++l) {
          const int pair = pairs[32 * n + l] >> (2 * j) & 3;
          const int third = third_bits[l] >> (4 * n + j) & 1;
          codes[128 * n + 32 * j + l] = static_cast<int8_t>(pair - 4 + 4 * third);
        }
  }
};
static_assert(sizeof(BlockQ3_K) == 110, "Q3_K is 110 bytes in the file");

}  // namespace powerinfer
