// `down` by neuron without requantizing: the layout, and the code that writes it.
//
// A file's DOWN is [ffn_width, hidden_width]: one row an output column, scales shared along the neurons. A sparse FFN wants what one
// neuron contributes to every column, contiguous. Plain types are transposed: ffn_width rows of hidden_width elements, nothing else.
// Block types become one record per block of neurons (32, or 256 for K types), its rows one after another:
//
//   d         f16[columns]   the block's scale in every column
//   m         f16[columns]   only types with offsets: Q4_1 and Q5_1 (m), Q2_K, Q4_K and Q5_K (dmin)
//   then for each group of the block's neurons (all 32; of K types 32, or 16 for Q2_K, Q3_K and Q6_K):
//     scales    i8[columns]  only K types: the group's scale is d · this, exact in f32
//     minimums  i8[columns]  only K types with offsets: the group's offset is -(dmin · this), exact too
//     codes     [group_neurons][columns]   i8; for Q4_0 and Q4_K nibbles (order: repacked_group.h)
//
// `columns` is hidden_width rounded up to 64 (the rest is zero). A weight is scale · code + offset as quant/decode.h has it: not a
// bit changes. Records follow each other without padding.
#pragma once
#include <cstdint>
#include "thread_pool.h"

namespace powerinfer {

struct RepackedLayout {
  uint32_t block_neurons;     // neurons of one record; 1 for plain types, 0 for an unknown one
  uint32_t group_neurons;
  uint64_t block_rows_bytes;  // d and m
  uint64_t group_rows_bytes;  // scales and minimums
  uint64_t code_row_bytes;    // of one neuron

  constexpr uint64_t group_bytes() const { return group_rows_bytes + group_neurons * code_row_bytes; }
  constexpr uint64_t block_bytes() const { return block_rows_bytes + block_neurons / group_neurons * group_bytes(); }
};

RepackedLayout repacked_layout(uint32_t type, uint32_t hidden_width);
// Bytes of a repacked DOWN [ffn_width, hidden_width] of `type`; 0 if the type is unknown or ffn_width is not whole blocks.
uint64_t repacked_down_bytes(uint32_t type, uint32_t hidden_width, uint32_t ffn_width);
// Bytes that accumulate_repacked reads for these neurons (ascending): their codes, and the scale rows of every group and block they touch.
uint64_t repacked_read_bytes(uint32_t type, uint32_t hidden_width, const uint32_t* neurons, uint32_t neuron_count);
// Writes it to `to`. Work is shared by blocks of neurons over `pool`.
void repack_down(ThreadPool& pool, uint32_t type, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to);

}  // namespace powerinfer
