// What are the weights of a block? Every block format is codes, a scale per group and, for some, an offset per group.
//
// A format is a packed struct (it lies at any address) with the file's bytes and
//   kWeights, kGroup  weights in a block, and weights that share a scale
//   kHasOffset        weight = scale * code + offset, else scale * code
//   split(codes i8[kWeights], scales f32[kWeights / kGroup], offsets, the same shape, left alone unless kHasOffset)
// The products d * scale and scale * code are exact in f32 for every format, so a weight is rounded at most once, by its offset;
// it equals ggml's dequantize_row_* bit for bit.
#pragma once
#include <cstdint>

namespace powerinfer {

// Writes the kWeights weights of one block.
template <class Block>
inline void decode(const Block& block, float* weights) {
  int8_t codes[Block::kWeights];
  float scales[Block::kWeights / Block::kGroup], offsets[Block::kWeights / Block::kGroup];
  block.split(codes, scales, offsets);
  for (uint32_t group = 0; group < Block::kWeights / Block::kGroup; ++group)
    for (uint32_t i = group * Block::kGroup; i < (group + 1) * Block::kGroup; ++i) {
      weights[i] = scales[group] * static_cast<float>(codes[i]);
      if constexpr (Block::kHasOffset) weights[i] += offsets[group];
    }
}

}  // namespace powerinfer
