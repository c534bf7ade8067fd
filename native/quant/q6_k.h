// Q6_K: what do 256 weights in 210 bytes mean?   weight = d * scale * (code - 32), code in 0 .. 63, per 16 weights.
#pragma once
#include "half.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ6_K {
  // With i = 128 n + 64 h + 32 k + l: the low four bits of code i are nibble h of low[64 n + 32 k + l],
  // the upper two are bits 4 h + 2 k and the next of high[32 n + l].
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];  // of 16 weights each
  uint16_t d;         // f16

  static constexpr uint32_t kWeights = 256;
  static constexpr uint32_t kGroup = 16;
  static constexpr bool kHasOffset = false;

  // What d is multiplied by in each group.
  void small_scales(int8_t* __restrict to_scales, int8_t*) const { std::memcpy(to_scales, scales, sizeof scales); }
  void split(int8_t* __restrict codes, float* __restrict to_scales, float*) const {
    const float scale = float_from_f16(d);
    for (uint32_t group = 0; group < 16; ++group) to_scales[group] = scale * static_cast<float>(scales[group]);
    for (uint32_t n = 0; n < 2; ++n)
      for (uint32_t h = 0; h < 2; ++h)
        for (uint32_t k = 0; k < 2; ++k)
          for (uint32_t l = 0; l < 32; ++l) {
            const int nibble = low[64 * n + 32 * k + l] >> (4 * h) & 15;
            const int pair = high[32 * n + l] >> (4 * h + 2 * k) & 3;
            codes[128 * n + 64 * h + 32 * k + l] = static_cast<int8_t>((nibble | pair << 4) - 32);
          }
  }
};
static_assert(sizeof(BlockQ6_K) == 210, "Q6_K is 210 bytes in the file");

}  // namespace powerinfer
