// Q5_K: what do 256 weights in 176 bytes mean?   weight = d * scale * code - dmin * minimum, code in 0 .. 31, per 32 weights.
#pragma once
#include "half.h"
#include "k_scales.h"

namespace powerinfer {

struct __attribute__((packed)) BlockQ5_K {
  uint16_t d;             // f16
  uint16_t dmin;          // f16
  uint8_t scales[12];     // k_scales.h
  uint8_t fifth_bits[32];  // bit g of fifth_bits[l] is bit 4 of code 32 g + l
  uint8_t nibbles[128];    // weights 64 j + l and 64 j + 32 + l are the low and high nibble of nibbles[32 j + l]

  static constexpr uint32_t kWeights = 256;
  static constexpr uint32_t kGroup = 32;
  static constexpr bool kHasOffset = true;

  // What d and dmin are multiplied by in each group.
  void small_scales(int8_t* __restrict to_scales, int8_t* __restrict minimums) const {
    uint8_t unpacked[16];
    unpack_k_scales(scales, unpacked);
    std::memcpy(to_scales, unpacked, 8);
    std::memcpy(minimums, unpacked + 8, 8);
  }
  void split(int8_t* __restrict codes, float* __restrict to_scales, float* __restrict offsets) const {
    const float scale = float_from_f16(d), minimum = float_from_f16(dmin);
    int8_t factors[8], minimums[8];
    small_scales(factors, minimums);
    for (uint32_t group = 0; group < 8; ++group) {
      to_scales[group] = scale * static_cast<float>(factors[group]);
      offsets[group] = -(minimum * static_cast<float>(minimums[group]));
    }
    for (uint32_t j = 0; j < 4; ++j)
      for (uint32_t l = 0; l < 32; ++l) {
        codes[64 * j + l] = static_cast<int8_t>((nibbles[32 * j + l] & 15) | (fifth_bits[l] >> (2 * j) & 1) << 4);
        codes[64 * j + 32 + l] = static_cast<int8_t>(nibbles[32 * j + l] >> 4 | (fifth_bits[l] >> (2 * j + 1) & 1) << 4);
      }
  }
};
static_assert(sizeof(BlockQ5_K) == 176, "Q5_K is 176 bytes in the file");

}  // namespace powerinfer
