// `down` by neuron without requantizing: the code that writes it. Tiles of 64 columns are gathered on the stack, so that both the
// file's rows and the repacked rows are touched in whole cache lines.
#include "repack.h"

#include <algorithm>

#include "kernels.h"
#include "kernels/repacked_group.h"

namespace powerinfer {
namespace {

constexpr uint32_t kTileColumns = kStepColumns;

template <class Element>
void transpose(ThreadPool& pool, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to) {
  constexpr uint32_t kTileNeurons = 64;
  pool.for_each((ffn_width + kTileNeurons - 1) / kTileNeurons, [&](uint32_t chunk, uint32_t) {
    const uint32_t first = chunk * kTileNeurons, count = std::min(kTileNeurons, ffn_width - first);
    Element tile[kTileNeurons][kTileColumns];
    for (uint32_t column = 0; column < hidden_width; column += kTileColumns) {
      const uint32_t columns = std::min(kTileColumns, hidden_width - column);
      for (uint32_t c = 0; c < columns; ++c) {
        Element row[kTileNeurons];
        std::memcpy(row, from + (uint64_t{column + c} * ffn_width + first) * sizeof(Element), count * sizeof(Element));
        for (uint32_t n = 0; n < count; ++n) tile[n][c] = row[n];
      }
      for (uint32_t n = 0; n < count; ++n)
        std::memcpy(to + (uint64_t{first + n} * hidden_width + column) * sizeof(Element), tile[n], columns * sizeof(Element));
    }
  });
}

// The f16 that is added by offsets, or multiplied for them.
template <class Block>
uint16_t offset_half(const Block& block) {
  if constexpr (Repacked<Block>::kSmallScales) return block.dmin;
  else return block.m;
}

template <class Block>
void write_codes(const int8_t* codes, uint8_t* to) {
  using R = Repacked<Block>;
  if constexpr (R::kPacked) {
    for (uint32_t c = 0; c < 32; ++c)
      to[R::packed_byte(c)] = static_cast<uint8_t>((codes[c] + R::kNibbleZero) | (codes[c + 32] + R::kNibbleZero) << 4);
  } else {
    std::memcpy(to, codes, kTileColumns);
  }
}

// One chunk is the neurons of one block: one group, or eight or sixteen of a K type.
template <class Block>
void repack(ThreadPool& pool, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to) {
  using R = Repacked<Block>;
  const RepackedLayout layout = R::layout(hidden_width);
  const uint32_t blocks_per_row = ffn_width / Block::kWeights;
  pool.for_each(blocks_per_row, [&](uint32_t chunk, uint32_t) {
    int8_t codes[Block::kWeights][kTileColumns];
    uint16_t d[kTileColumns], m[kTileColumns];
    int8_t scales[R::kGroups][kTileColumns], minimums[R::kGroups][kTileColumns];
    for (uint32_t column = 0; column < hidden_width; column += kTileColumns) {
      const uint32_t columns = std::min(kTileColumns, hidden_width - column);
      if (columns < kTileColumns) {
        std::memset(codes, 0, sizeof codes);
        std::memset(d, 0, sizeof d);
        std::memset(m, 0, sizeof m);
        std::memset(scales, 0, sizeof scales);
        std::memset(minimums, 0, sizeof minimums);
      }
      for (uint32_t c = 0; c < columns; ++c) {
        const Block& block = reinterpret_cast<const Block*>(from)[uint64_t{column + c} * blocks_per_row + chunk];
        int8_t block_codes[Block::kWeights];
        float unused_scales[R::kGroups], unused_offsets[R::kGroups];
        block.split(block_codes, unused_scales, unused_offsets);
        for (uint32_t n = 0; n < Block::kWeights; ++n) codes[n][c] = block_codes[n];
        d[c] = block.d;
        if constexpr (Block::kHasOffset) m[c] = offset_half(block);
        if constexpr (R::kSmallScales) {
          int8_t block_scales[R::kGroups], block_minimums[R::kGroups] = {};
          block.small_scales(block_scales, block_minimums);
          for (uint32_t g = 0; g < R::kGroups; ++g) {
            scales[g][c] = block_scales[g];
            minimums[g][c] = block_minimums[g];
          }
        }
      }
      uint8_t* const record = to + chunk * layout.block_bytes();
      std::memcpy(record + 2 * column, d, sizeof d);
      if constexpr (Block::kHasOffset) std::memcpy(record + layout.block_rows_bytes / 2 + 2 * column, m, sizeof m);
      for (uint32_t g = 0; g < R::kGroups; ++g) {
        uint8_t* const group = record + layout.block_rows_bytes + g * layout.group_bytes();
        if constexpr (R::kSmallScales) std::memcpy(group + column, scales[g], kTileColumns);
        if constexpr (R::kSmallScales && Block::kHasOffset) std::memcpy(group + layout.group_rows_bytes / 2 + column, minimums[g], kTileColumns);
        uint8_t* const code_rows = group + layout.group_rows_bytes + (R::kPacked ? column / 2 : column);
        for (uint32_t n = 0; n < Block::kGroup; ++n) write_codes<Block>(codes[g * Block::kGroup + n], code_rows + n * layout.code_row_bytes);
      }
    }
  });
}

using RepackFunction = void (*)(ThreadPool&, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to);
struct RepackRow {
  uint32_t type;
  RepackedLayout (*layout)(uint32_t hidden_width);
  RepackFunction write;
};

template <class Element>
constexpr RepackRow plain(uint32_t type) {
  return {type, [](uint32_t hidden_width) { return RepackedLayout{1, 1, 0, 0, hidden_width * sizeof(Element)}; }, transpose<Element>};
}
template <class Block>
constexpr RepackRow grouped(uint32_t type) {
  return {type, Repacked<Block>::layout, repack<Block>};
}

constexpr RepackRow kRepackRows[] = {
    plain<uint32_t>(F32),         plain<uint16_t>(F16),         plain<uint16_t>(BF16),        grouped<BlockQ8_0>(Q8_0), grouped<BlockQ4_0>(Q4_0),
    grouped<BlockQ4_1>(Q4_1), grouped<BlockQ5_0>(Q5_0), grouped<BlockQ5_1>(Q5_1), grouped<BlockQ2_K>(Q2_K), grouped<BlockQ3_K>(Q3_K),
    grouped<BlockQ4_K>(Q4_K), grouped<BlockQ5_K>(Q5_K), grouped<BlockQ6_K>(Q6_K),
};

const RepackRow* row_of(uint32_t type) {
  for (const RepackRow& row : kRepackRows)
    if (row.type == type) return &row;
  return nullptr;
}

}  // namespace

RepackedLayout repacked_layout(uint32_t type, uint32_t hidden_width) {
  const RepackRow* row = row_of(type);
  return row ? row->layout(hidden_width) : RepackedLayout{0, 1, 0, 0, 0};
}

uint64_t repacked_down_bytes(uint32_t type, uint32_t hidden_width, uint32_t ffn_width) {
  const RepackedLayout layout = repacked_layout(type, hidden_width);
  if (layout.block_neurons == 0 || ffn_width % layout.block_neurons != 0) return 0;
  return ffn_width / layout.block_neurons * layout.block_bytes();
}

uint64_t repacked_read_bytes(uint32_t type, uint32_t hidden_width, const uint32_t* neurons, uint32_t neuron_count) {
  const RepackedLayout layout = repacked_layout(type, hidden_width);
  uint64_t groups = 0, blocks = 0;
  for (uint32_t i = 0; i < neuron_count; ++i) {
    groups += i == 0 || neurons[i] / layout.group_neurons != neurons[i - 1] / layout.group_neurons;
    blocks += i == 0 || neurons[i] / layout.block_neurons != neurons[i - 1] / layout.block_neurons;
  }
  return neuron_count * layout.code_row_bytes + groups * layout.group_rows_bytes + blocks * layout.block_rows_bytes;
}

void repack_down(ThreadPool& pool, uint32_t type, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to) {
  row_of(type)->write(pool, hidden_width, ffn_width, from, to);
}

}  // namespace powerinfer
