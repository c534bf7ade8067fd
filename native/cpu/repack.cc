// `down` by neuron without requantizing: the code that writes it. Tiles of 64 columns are gathered on the stack, so that both the
// file's rows and the repacked rows are touched in whole cache lines.
#include "repack.h"

#include <algorithm>

#include "kernels.h"
#include "kernels/repacked_group.h"

namespace powerinfer {
namespace {

constexpr uint32_t kTileColumns = 64;

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

template <class Block>
void write_scales(const float* scales, uint32_t columns, uint8_t* to) {
  if constexpr (Repacked<Block>::kScaleIsF16) {
    // They were halves in the file, so nothing is rounded; quiet NaNs keep their payload.
    uint16_t halves[kTileColumns];
    for (uint32_t c = 0; c < columns; ++c) halves[c] = f16_from_float(scales[c]);
    std::memcpy(to, halves, columns * sizeof(uint16_t));
  } else {
    std::memcpy(to, scales, columns * sizeof(float));
  }
}

template <class Block>
void write_codes(const int8_t* codes, uint32_t columns, uint8_t* to) {
  if constexpr (Repacked<Block>::kPacked) {
    for (uint32_t c = 0; c < columns; c += 32)
      for (uint32_t i = 0; i < 16; ++i) {
        const int low = codes[c + i] + Repacked<Block>::kNibbleZero, high = codes[c + 16 + i] + Repacked<Block>::kNibbleZero;
        to[c / 2 + i] = static_cast<uint8_t>(low | high << 4);
      }
  } else {
    std::memcpy(to, codes, columns);
  }
}

// One chunk is the neurons of one block: one group, or eight or sixteen of a K type.
template <class Block>
void repack(ThreadPool& pool, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to) {
  constexpr uint32_t kGroups = Block::kWeights / Block::kGroup;
  const RepackedLayout layout = Repacked<Block>::layout(hidden_width);
  const uint32_t blocks_per_row = ffn_width / Block::kWeights;
  pool.for_each(blocks_per_row, [&](uint32_t chunk, uint32_t) {
    int8_t codes[Block::kWeights][kTileColumns];
    float scales[kGroups][kTileColumns], offsets[kGroups][kTileColumns];
    for (uint32_t column = 0; column < hidden_width; column += kTileColumns) {
      const uint32_t columns = std::min(kTileColumns, hidden_width - column);
      const uint32_t padded = (columns + 31) / 32 * 32;
      if (columns < padded) {
        std::memset(codes, 0, sizeof codes);
        std::memset(scales, 0, sizeof scales);
        std::memset(offsets, 0, sizeof offsets);
      }
      for (uint32_t c = 0; c < columns; ++c) {
        int8_t block_codes[Block::kWeights];
        float block_scales[kGroups], block_offsets[kGroups];
        reinterpret_cast<const Block*>(from)[uint64_t{column + c} * blocks_per_row + chunk].split(block_codes, block_scales, block_offsets);
        for (uint32_t n = 0; n < Block::kWeights; ++n) codes[n][c] = block_codes[n];
        for (uint32_t g = 0; g < kGroups; ++g) {
          scales[g][c] = block_scales[g];
          if constexpr (Block::kHasOffset) offsets[g][c] = block_offsets[g];
        }
      }
      for (uint32_t g = 0; g < kGroups; ++g) {
        constexpr uint64_t kScaleBytes = Repacked<Block>::kScaleIsF16 ? 2 : 4;
        uint8_t* group = to + (uint64_t{chunk} * kGroups + g) * layout.group_bytes();
        write_scales<Block>(scales[g], padded, group + column * kScaleBytes);
        group += layout.scale_row_bytes;
        if constexpr (Block::kHasOffset) write_scales<Block>(offsets[g], padded, group + column * kScaleBytes);
        group += layout.offset_row_bytes + (Repacked<Block>::kPacked ? column / 2 : column);
        for (uint32_t n = 0; n < Block::kGroup; ++n)
          write_codes<Block>(codes[g * Block::kGroup + n], padded, group + n * layout.code_row_bytes);
      }
    }
  });
}

using RepackFunction = void (*)(ThreadPool&, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to);
struct RepackRow {
  uint32_t type;
  uint32_t block_weights;
  RepackedLayout (*layout)(uint32_t hidden_width);
  RepackFunction write;
};

template <class Element>
constexpr RepackRow plain(uint32_t type) {
  return {type, 1, [](uint32_t hidden_width) { return RepackedLayout{1, 0, 0, hidden_width * sizeof(Element)}; }, transpose<Element>};
}
template <class Block>
constexpr RepackRow grouped(uint32_t type) {
  return {type, Block::kWeights, Repacked<Block>::layout, repack<Block>};
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
  return row ? row->layout(hidden_width) : RepackedLayout{0, 0, 0, 0};
}

uint64_t repacked_down_bytes(uint32_t type, uint32_t hidden_width, uint32_t ffn_width) {
  const RepackRow* row = row_of(type);
  if (!row || ffn_width % row->block_weights != 0) return 0;
  const RepackedLayout layout = row->layout(hidden_width);
  return ffn_width / layout.group_neurons * layout.group_bytes();
}

uint64_t repacked_read_bytes(uint32_t type, uint32_t hidden_width, const uint32_t* neurons, uint32_t neuron_count) {
  const RepackedLayout layout = repacked_layout(type, hidden_width);
  uint64_t groups = 0;
  for (uint32_t i = 0; i < neuron_count; ++i) groups += i == 0 || neurons[i] / layout.group_neurons != neurons[i - 1] / layout.group_neurons;
  return neuron_count * layout.code_row_bytes + groups * (layout.scale_row_bytes + layout.offset_row_bytes);
}

void repack_down(ThreadPool& pool, uint32_t type, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to) {
  row_of(type)->write(pool, hidden_width, ffn_width, from, to);
}

}  // namespace powerinfer
