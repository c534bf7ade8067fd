// Where do the scales, offsets and codes of a group of neurons lie in a repacked matrix? (repack.h draws it.)
#pragma once
#include <type_traits>
#include "../../quant/formats.h"
#include "../repack.h"
#include "element.h"

namespace powerinfer {

// Rows are padded to whole steps of the kernels.
constexpr uint32_t kStepColumns = 64;

// What the layout makes of one block format.
template <class Block>
struct Repacked {
  static constexpr bool kSmallScales = Block::kWeights == 256;  // the K formats: a byte a group, multiplied by d of the block
  static constexpr bool kPacked = std::is_same_v<Block, BlockQ4_0> || std::is_same_v<Block, BlockQ4_K>;
  static constexpr int kNibbleZero = std::is_same_v<Block, BlockQ4_0> ? 8 : 0;  // nibble = code + kNibbleZero
  static constexpr uint32_t kScaleRows = Block::kHasOffset ? 2 : 1;
  static constexpr uint32_t kGroups = Block::kWeights / Block::kGroup;

  static constexpr RepackedLayout layout(uint32_t hidden_width) {
    const uint64_t columns = (uint64_t{hidden_width} + kStepColumns - 1) / kStepColumns * kStepColumns;
    return {Block::kWeights, Block::kGroup, kScaleRows * columns * 2, kSmallScales ? kScaleRows * columns : 0, kPacked ? columns / 2 : columns};
  }
  // Packed codes: 32 bytes hold 64 columns, the first 32 in the low nibbles. Byte 16 l + 4 v + i has column 8 v + 4 l + i, so that sums made of
  // interleaved bytes come out as eight columns in a row.
  static constexpr uint32_t packed_byte(uint32_t column) { return column / 64 * 32 + column / 4 % 2 * 16 + column / 8 % 4 * 4 + column % 4; }
  static constexpr bool in_low_nibble(uint32_t column) { return column % 64 < 32; }

  static int code(const uint8_t* row, uint32_t column) {
    if constexpr (kPacked) {
      const int byte = row[packed_byte(column)];
      return (in_low_nibble(column) ? byte & 15 : byte >> 4) - kNibbleZero;
    } else {
      return static_cast<int8_t>(row[column]);
    }
  }
};

// The rows of one group.
template <class Block>
struct RepackedGroup {
  using R = Repacked<Block>;

  const uint8_t* d;         // f16[columns]
  const uint8_t* m;         // f16[columns], where the format has offsets
  const uint8_t* scales;    // i8[columns], of K formats
  const uint8_t* minimums;  // i8[columns], of K formats with offsets
  const uint8_t* codes;     // of the group's first neuron
  uint64_t code_row_bytes;

  RepackedGroup(const RepackedLayout& layout, const uint8_t* matrix, uint32_t group)
      : d(matrix + group / R::kGroups * layout.block_bytes()),
        m(d + layout.block_rows_bytes / R::kScaleRows),
        scales(d + layout.block_rows_bytes + group % R::kGroups * layout.group_bytes()),
        minimums(scales + layout.group_rows_bytes / R::kScaleRows),
        codes(scales + layout.group_rows_bytes),
        code_row_bytes(layout.code_row_bytes) {}

  float scale(uint32_t column) const {
    const float scale = ElementF16::at(d, column);
    if constexpr (R::kSmallScales) return scale * static_cast<float>(static_cast<int8_t>(scales[column]));
    else return scale;
  }
  float offset(uint32_t column) const {
    const float offset = ElementF16::at(m, column);
    if constexpr (R::kSmallScales) return -(offset * static_cast<float>(static_cast<int8_t>(minimums[column])));
    else return offset;
  }

#if POWERINFER_X86
  // The same for columns column .. column + 7.
  TARGET_AVX2 POWERINFER_INLINE __m256 scale8(uint32_t column) const {
    if constexpr (R::kSmallScales) return times_small(d, scales, column);
    else return ElementF16::load8(d, column);
  }
  TARGET_AVX2 POWERINFER_INLINE __m256 offset8(uint32_t column) const {
    if constexpr (R::kSmallScales) return _mm256_xor_ps(times_small(m, minimums, column), _mm256_set1_ps(-0.0f));
    else return ElementF16::load8(m, column);
  }

 private:
  TARGET_AVX2 POWERINFER_INLINE static __m256 times_small(const uint8_t* halves, const uint8_t* small, uint32_t column) {
    const __m256i factors = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(small + column)));
    return _mm256_mul_ps(ElementF16::load8(halves, column), _mm256_cvtepi32_ps(factors));
  }
#endif
};

}  // namespace powerinfer
