// Which codes of a step of 32 activations does a weight type multiply?
#pragma once
#include <type_traits>
#include "../../quant/formats.h"
#include "../kernels.h"

namespace powerinfer {

// 8-bit weights multiply 16-bit activations: rounding those to 8 bits as well would cost as much fidelity as the weights' own rounding did (KL
// divergence of the trained 7M model to F32: 3.3e-4 instead of 1.8e-4).
template <class Block>
constexpr bool kMultipliesWords = std::is_same_v<Block, BlockQ8_0>;

// Code i of step `at` (step of the width * rows + row).
template <class Block>
int32_t x_code(const Rows& x, uint64_t at, uint32_t i) {
  constexpr uint32_t kWordPlace[4] = {0, 2, 1, 3};
  if constexpr (kMultipliesWords<Block>) return x.words.codes[at * 32 + i / 4 * 4 + kWordPlace[i % 4]];
  else return x.bytes.codes[at * 32 + i];
}

// The scale of that step.
template <class Block>
float x_scale(const Rows& x, uint64_t at) {
  return kMultipliesWords<Block> ? x.words.scales[at] : x.bytes.scales[at];
}

}  // namespace powerinfer
