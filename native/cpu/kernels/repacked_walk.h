// In what order does a sum over neurons read a repacked matrix?
#pragma once
#include "../kernels.h"
#include "repacked_group.h"

namespace powerinfer {

constexpr uint32_t kGroupNeuronsMax = 32;

// The listed neurons of one group.
template <class Block>
struct ListedGroup {
  const uint32_t* neurons;
  uint32_t count;
  RepackedGroup<Block> rows;

  const uint8_t* codes(uint32_t k) const { return rows.codes + neurons[k] % Block::kGroup * rows.code_row_bytes; }
};

// Calls add(group) for every group with listed neurons, ascending.
template <class Block, class Add>
void for_each_group(const Accumulate& op, Add&& add) {
  static_assert(Block::kGroup <= kGroupNeuronsMax);
  const RepackedLayout layout = Repacked<Block>::layout(op.hidden_width);
  for (uint32_t first = 0, count; first < op.neuron_count; first += count) {
    const uint32_t group = op.neurons[first] / Block::kGroup;
    for (count = 1; first + count < op.neuron_count && op.neurons[first + count] / Block::kGroup == group;) ++count;
    add(ListedGroup<Block>{op.neurons + first, count, RepackedGroup<Block>(layout, op.down, group)});
  }
}

}  // namespace powerinfer
