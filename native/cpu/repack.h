// `down` by neuron without requantizing: the layout, and the code that writes it.
//
// A file's DOWN is [ffn_width, hidden_width]: one row an output column, scales shared along the neurons. A sparse FFN wants what one
// neuron contributes to every column, contiguous. Plain types are transposed: ffn_width rows of hidden_width elements, nothing else.
// Block types become one record per group of neurons that share a scale (32; 16 for Q2_K, Q3_K and Q6_K):
//
//   scales   [columns]   what multiplies the codes of this group in a column: the file's f16 d, or for K types f32 d · scale (exact)
//   offsets  [columns]   what is added, in the same type; only Q4_1, Q5_1 (m), Q2_K, Q4_K, Q5_K (-(dmin · minimum), exact)
//   codes    [group_neurons][columns]   i8; for Q4_0, Q4_1 and Q4_K nibbles, 16 bytes for 32 columns, the first 16 in the low nibbles
//
// `columns` is hidden_width rounded up to 32 (the rest is zero), so a weight is scale · code + offset as quant/decode.h has it: not a
// bit changes. Records follow each other without padding.
#pragma once
#include <cstdint>
#include "thread_pool.h"

namespace powerinfer {

struct RepackedLayout {
  uint32_t group_neurons;     // neurons of one record; 1 for plain types, 0 for an unknown one
  uint64_t scale_row_bytes;
  uint64_t offset_row_bytes;
  uint64_t code_row_bytes;    // of one neuron

  constexpr uint64_t group_bytes() const { return scale_row_bytes + offset_row_bytes + group_neurons * code_row_bytes; }
};

RepackedLayout repacked_layout(uint32_t type, uint32_t hidden_width);
// Bytes of a repacked DOWN [ffn_width, hidden_width] of `type`; 0 if the type is unknown or ffn_width is not whole blocks.
uint64_t repacked_down_bytes(uint32_t type, uint32_t hidden_width, uint32_t ffn_width);
// Bytes that accumulate_repacked reads for these neurons (ascending): their codes, and the scales and offsets of every group they touch.
uint64_t repacked_read_bytes(uint32_t type, uint32_t hidden_width, const uint32_t* neurons, uint32_t neuron_count);
// Writes it to `to`. Work is shared by groups of neurons over `pool`.
void repack_down(ThreadPool& pool, uint32_t type, uint32_t hidden_width, uint32_t ffn_width, const uint8_t* from, uint8_t* to);

}  // namespace powerinfer
