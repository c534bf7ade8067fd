// May this call come now, with these arguments? What powerinfer.h demands of a batch, for models and for the devices of plugins alike.
#pragma once
#include <algorithm>

#include "error.h"
#include "model.h"

namespace powerinfer {

inline void check_block(const powerinfer_model_shape& shape, uint32_t block) {
  if (block >= shape.block_count) fail(POWERINFER_INVALID_ARGUMENT, "block is %u, the model has %u", block, shape.block_count);
}

inline void check_begun(const BatchProgress& batch) {
  if (batch.row_count == 0) fail(POWERINFER_INVALID_ARGUMENT, "no batch was begun; call powerinfer_embed");
}

inline void check_row_count(const powerinfer_model_shape& shape, uint32_t row_count) {
  if (row_count == 0 || row_count > shape.row_count_max) {
    fail(POWERINFER_INVALID_ARGUMENT, "%u rows were given; row_count_max is %u", row_count, shape.row_count_max);
  }
}

inline void check_row(const powerinfer_model_shape& shape, const powerinfer_row& row, uint32_t position_count, uint32_t i) {
  if (row.token >= shape.vocabulary_size) {
    fail(POWERINFER_INVALID_ARGUMENT, "row %u has token %u, the vocabulary %u", i, row.token, shape.vocabulary_size);
  }
  if (row.position >= position_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "row %u is at position %u, its cache has %u", i, row.position, position_count);
  }
}

// A row's place in the order that check_positions wants.
inline uint64_t position_key(const powerinfer_row& row) { return uint64_t{row.cache} << 32 | row.position; }

// Checks that no (cache, position) occurs twice and that no row looks beyond what its cache holds; sorts the keys. filled_of(cache) is how
// many positions earlier batches filled.
template <class FilledOf>
void check_positions(uint64_t* keys, uint32_t row_count, FilledOf&& filled_of) {
  std::sort(keys, keys + row_count);
  uint32_t reached = 0;  // positions of this cache that earlier batches and the rows so far fill
  for (uint32_t i = 0; i < row_count; ++i) {
    const uint32_t cache = static_cast<uint32_t>(keys[i] >> 32);
    const uint32_t position = static_cast<uint32_t>(keys[i]);
    const bool same_cache = i > 0 && keys[i - 1] >> 32 == cache;
    if (same_cache && keys[i - 1] == keys[i]) fail(POWERINFER_INVALID_ARGUMENT, "two rows are at position %u of cache %u", position, cache);
    if (!same_cache) reached = filled_of(cache);
    if (position > reached) {
      fail(POWERINFER_INVALID_ARGUMENT, "a row is at position %u of cache %u, but nothing was at position %u", position, cache, reached);
    }
    reached = std::max(reached, position + 1);
  }
}

// The FFN's input: the caller's, or where it is NULL, what attend left.
inline void check_input(const powerinfer_model_shape& shape, const BatchProgress& batch, const float* hidden, uint32_t row_count) {
  check_row_count(shape, row_count);
  if (hidden != nullptr) return;
  if (!batch.attended) fail(POWERINFER_INVALID_ARGUMENT, "hidden is NULL and no attend went before; give hidden or call powerinfer_attend");
  if (row_count != batch.row_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "hidden is NULL and row_count is %u; the batch has %u", row_count, batch.row_count);
  }
}

// The first row that names a neuron which is none, or row_count.
inline uint32_t row_beyond(const powerinfer_model_shape& shape, const uint32_t* active, uint32_t row_count) {
  const uint32_t used_bits = shape.ffn_width % 32;
  if (used_bits == 0) return row_count;
  const uint64_t words = words_of(shape);
  for (uint32_t row = 0; row < row_count; ++row) {
    if (active[row * words + words - 1] >> used_bits != 0) return row;
  }
  return row_count;
}

inline void check_active(const powerinfer_model_shape& shape, const uint32_t* active, uint32_t row_count) {
  if (active == nullptr) return;
  const uint32_t row = row_beyond(shape, active, row_count);
  if (row < row_count) fail(POWERINFER_INVALID_ARGUMENT, "active of row %u names a neuron at or above ffn_width %u", row, shape.ffn_width);
}

// A partial that stays where it was made is for this batch's rows.
inline void check_partial(const BatchProgress& batch, const float* partial, uint32_t row_count) {
  if (partial == nullptr && row_count != batch.row_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "partial is NULL and row_count is %u; the batch has %u", row_count, batch.row_count);
  }
}

inline void check_kept(const BatchProgress& batch, uint32_t block) {
  if (batch.partial_block != block) {
    fail(POWERINFER_INVALID_ARGUMENT, "partial is NULL and none of blk.%u is kept; give one or call powerinfer_ffn", block);
  }
}

inline void check_logit_rows(const BatchProgress& batch, const uint32_t* rows, uint32_t count) {
  if (count == 0 || count > batch.row_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "%u rows were asked for; the batch has %u", count, batch.row_count);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (rows[i] >= batch.row_count) fail(POWERINFER_INVALID_ARGUMENT, "rows[%u] is %u, the batch has %u", i, rows[i], batch.row_count);
  }
}

}  // namespace powerinfer
