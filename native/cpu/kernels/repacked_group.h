// Where do the scales, offsets and codes of a group of neurons lie in a repacked matrix? (repack.h draws it.)
#pragma once
#include "../../quant/formats.h"
#include "../repack.h"

namespace powerinfer {

// What the layout makes of one block format.
template <class Block>
struct Repacked {
  // Formats of 32 weights carry their scales as f16; the K formats' scales are products, exact in f32.
  static constexpr bool kScaleIsF16 = Block::kWeights == 32;
  static constexpr bool kPacked = std::is_same_v<Block, BlockQ4_0> || std::is_same_v<Block, BlockQ4_1> || std::is_same_v<Block, BlockQ4_K>;
  static constexpr int kNibbleZero = std::is_same_v<Block, BlockQ4_0> ? 8 : 0;  // nibble = code + kNibbleZero

  static constexpr RepackedLayout layout(uint32_t hidden_width) {
    const uint64_t columns = (uint64_t{hidden_width} + 31) / 32 * 32;
    const uint64_t scale_row_bytes = columns * (kScaleIsF16 ? 2 : 4);
    const uint64_t offset_row_bytes = Block::kHasOffset ? scale_row_bytes : 0;
    const uint64_t code_row_bytes = kPacked ? columns / 2 : columns;
    return {Block::kGroup, scale_row_bytes, offset_row_bytes, code_row_bytes};
  }
  static float scale(const uint8_t* row, uint32_t column) {
    if constexpr (kScaleIsF16) {
      uint16_t half;
      std::memcpy(&half, row + uint64_t{column} * 2, 2);
      return float_from_f16(half);
    } else {
      float value;
      std::memcpy(&value, row + uint64_t{column} * 4, 4);
      return value;
    }
  }
  // Packed codes: 16 bytes hold 32 columns, the first 16 in the low nibbles.
  static int code(const uint8_t* row, uint32_t column) {
    if constexpr (kPacked) {
      const int byte = row[column / 32 * 16 + column % 16];
      return (column % 32 < 16 ? byte & 15 : byte >> 4) - kNibbleZero;
    } else {
      return static_cast<int8_t>(row[column]);
    }
  }
};

// The rows of one group.
struct RepackedGroup {
  const uint8_t* scales;
  const uint8_t* offsets;
  const uint8_t* codes;  // of the group's first neuron

  RepackedGroup(const RepackedLayout& layout, const uint8_t* matrix, uint32_t group)
      : scales(matrix + group * layout.group_bytes()), offsets(scales + layout.scale_row_bytes), codes(offsets + layout.offset_row_bytes) {}
};

}  // namespace powerinfer
