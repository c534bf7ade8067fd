// How is a matmul cut into tiles that keep their sums in registers?
#pragma once
#include <type_traits>
#include "../kernels.h"

namespace powerinfer {

// The id of the i-th weight row of `op`, which is also its output column.
inline uint32_t weight_row(const Matmul& op, uint32_t i) { return op.rows ? op.rows[i] : op.first + i; }

// Fetches the weight rows of the next tile, one row after another, while a tile is computed: memory serves one run of addresses better
// than several rows at once, and the hardware cannot follow a list of rows. Small tiles go to the first-level cache, which has no room for two
// large ones. (Zen 4, one activation row, width 2048, where a plain read has 25 GB/s: F16 rows 21, into the first level 16, without this
// 16; Q4_0 rows 12, into the first level 15, without this 9.)
class RowsAhead {
 public:
  // Rows i, i + 1, … of `op`, for tiles of `tile_rows`.
  RowsAhead(const Matmul& op, uint32_t i, uint32_t tile_rows) : op_(op), is_small_(tile_rows * op.row_bytes <= 10 * 1024), i_(i) { find_row(); }

  // The next `bytes` bytes of them. A kernel calls it as it advances by as many.
  inline void fetch(uint32_t bytes) {
    for (due_ += bytes; due_ >= kLine; due_ -= kLine) {
      if (is_small_) __builtin_prefetch(row_ + at_, 0, 3);
      else __builtin_prefetch(row_ + at_, 0, 2);
      at_ += kLine;
      if (at_ < op_.row_bytes) continue;
      at_ = 0;
      ++i_;
      find_row();
    }
  }

 private:
  static constexpr uint32_t kLine = 64;

  void find_row() { row_ = op_.weight + weight_row(op_, i_ < op_.count ? i_ : op_.count - 1) * op_.row_bytes; }

  const Matmul& op_;
  const bool is_small_;
  const uint8_t* row_;
  uint32_t i_;
  uint64_t at_ = 0;
  uint32_t due_ = 0;
};

// A few weight rows times a few activation rows.
struct MatmulTile {
  const Matmul& op;
  uint32_t i;                 // the first weight row, counted in op
  uint32_t row;               // the first activation row
  const uint8_t* weights[4];  // the weight rows
  uint32_t columns[4];        // where their results go
};

/*
 * Runs Kernel::tile<R, C>(MatmulTile), R weight rows by C activation rows, over all of `op`; R is 4 or 1, C is Kernel::kBatch or 1.
 * A tile keeps one accumulator per output, fed in the order of k: the tiling never shows in a result.
 */
template <class Kernel>
void run_matmul_tiles(const Matmul& op) {
  MatmulTile tile{op, 0, 0, {}, {}};
  const auto run = [&](auto rows) {
    constexpr uint32_t R = decltype(rows)::value, C = Kernel::kBatch;
    for (uint32_t r = 0; r < R; ++r) {
      tile.columns[r] = weight_row(op, tile.i + r);
      tile.weights[r] = op.weight + tile.columns[r] * op.row_bytes;
    }
    for (tile.row = 0; tile.row + C <= op.x.count; tile.row += C) Kernel::template tile<R, C>(tile);
    for (; tile.row < op.x.count; ++tile.row) Kernel::template tile<R, 1>(tile);
  };
  for (; tile.i + 4 <= op.count; tile.i += 4) run(std::integral_constant<uint32_t, 4>{});
  for (; tile.i < op.count; ++tile.i) run(std::integral_constant<uint32_t, 1>{});
}

}  // namespace powerinfer
