// How are matrices multiplied? In blocks that fit the caches, packed in the order in which the tile kernel reads them (Goto and van de Geijn, 2008).
//
// A block of b, kDepth × kColumns, is packed once by all threads and then lies in the shared cache; a strip of it, as wide as a tile, in the first-level one.
// Blocks of c are handed out to threads, who pack the part of a that they need for each.
#include "gemm.h"

#include <algorithm>

namespace powerinfer {
namespace {

constexpr uint32_t kDepth = 256;
constexpr uint32_t kColumns = 2048;
// Of a block of c that one thread computes at a time. Packing a costs it some 5% of the multiplications at that width.
constexpr uint32_t kTilesDown = 16;
constexpr uint32_t kColumnsAcross = 512;

uint32_t ceil_div(uint32_t value, uint32_t by) { return value / by + (value % by != 0); }

// packed[k][i] = from(first + i, k) for i < count, zero up to `width`: one strip of a packed factor.
void pack_strip(const float* from, uint64_t step, uint64_t k_step, uint32_t count, uint32_t width, uint32_t depth, float* packed) {
  for (uint64_t k = 0; k < depth; ++k) {
    const float* const source = from + k * k_step;
    float* const to = packed + k * width;
    if (step == 1) std::copy(source, source + count, to);
    else
      for (uint32_t i = 0; i < count; ++i) to[i] = source[i * step];
    std::fill(to + count, to + width, 0.0f);
  }
}

}  // namespace

Multiplier::Multiplier(ThreadPool& pool, const TrainKernels& kernels, uint32_t columns_max)
    : pool_(pool),
      kernels_(kernels),
      packed_a_floats_(uint64_t{kTilesDown} * kernels.gemm_rows * kDepth),
      packed_a_(packed_a_floats_ * pool.thread_count()),
      packed_b_(uint64_t{ceil_div(std::min(columns_max, kColumns), kernels.gemm_columns)} * kernels.gemm_columns * kDepth) {}

void Multiplier::multiply(const Gemm& g) const {
  const uint32_t tile_rows = kernels_.gemm_rows, tile_columns = kernels_.gemm_columns;
  const uint32_t block_rows = kTilesDown * tile_rows;
  if (g.rows == 0) return;  // nothing of b may be read: who multiplies nothing may have nothing
  for (uint32_t column = 0; column < g.columns; column += kColumns) {
    const uint32_t columns = std::min(kColumns, g.columns - column);
    // At least once: a product of depth 0 is zero.
    for (uint32_t k = 0; k == 0 || k < g.depth; k += kDepth) {
      const uint32_t depth = std::min(kDepth, g.depth - k);
      const uint64_t strip_floats = uint64_t{tile_columns} * depth;
      pool_.for_each(ceil_div(columns, tile_columns), [&](uint32_t strip, uint32_t) {
        const uint32_t first = strip * tile_columns;
        const float* const from = g.b.values + k * g.b.row_step + (uint64_t{column} + first) * g.b.column_step;
        pack_strip(from, g.b.column_step, g.b.row_step, std::min(tile_columns, columns - first), tile_columns, depth, &packed_b_[strip * strip_floats]);
      });

      const uint32_t across = ceil_div(columns, kColumnsAcross);
      pool_.for_each(ceil_div(g.rows, block_rows) * across, [&](uint32_t block, uint32_t thread) {
        float* const packed_a = &packed_a_[thread * packed_a_floats_];
        const uint32_t row_begin = block / across * block_rows, row_end = std::min(row_begin + block_rows, g.rows);
        const uint32_t column_begin = block % across * kColumnsAcross, column_end = std::min(column_begin + kColumnsAcross, columns);
        for (uint32_t row = row_begin; row < row_end; row += tile_rows) {
          const float* const from = g.a.values + row * g.a.row_step + k * g.a.column_step;
          pack_strip(from, g.a.row_step, g.a.column_step, std::min(tile_rows, row_end - row), tile_rows, depth, packed_a + uint64_t{row - row_begin} * depth);
        }
        for (uint32_t at = column_begin; at < column_end; at += tile_columns)
          for (uint32_t row = row_begin; row < row_end; row += tile_rows) {
            kernels_.gemm_tile({packed_a + uint64_t{row - row_begin} * depth, &packed_b_[at / tile_columns * strip_floats], depth,
                                std::min(tile_rows, row_end - row), std::min(tile_columns, column_end - at),
                                g.c + row * g.c_stride + column + at, g.c_stride, g.adds || k > 0});
          }
      });
    }
  }
}

}  // namespace powerinfer
