// How does a tensor of the file become the planes of layout.h?
//
// Piece by piece through a small buffer, which may be pinned: a matrix can be larger than any memory that is to spare. A piece is, in every plane, some
// rows that follow each other; units are what is packed at once: a row, or of a DOWN the neurons that share a block.
#pragma once
#include <functional>

#include "../cpu/thread_pool.h"
#include "layout.h"

namespace powerinfer::cuda {

// Copies size_bytes to the matrix's byte `to_bytes`. `from` may be overwritten when it returns.
using Send = std::function<void(uint64_t to_bytes, const uint8_t* from, uint64_t size_bytes)>;

// The smallest buffer that `pack` can work with: one unit.
uint64_t staging_bytes_min(const MatrixSource& source);
// Packs the whole matrix, every byte of every plane but what lies between planes. `staging` has 16-byte alignment.
void pack(ThreadPool& pool, const MatrixSource& source, uint8_t* staging, uint64_t staging_bytes, const Send& send);

// Rows of each plane that follow each other.
struct PlaneRows {
  std::array<uint32_t, kPlaneCount> first;
  std::array<uint32_t, kPlaneCount> count;
};

// Rows of each plane from `first` on, in host memory.
struct PackedPlanes {
  std::array<uint8_t*, kPlaneCount> bytes;
  std::array<uint32_t, kPlaneCount> first;
  std::array<uint64_t, kPlaneCount> row_bytes;

  // A row by its number in the matrix.
  uint8_t* row(PlaneKind kind, uint32_t row) const { return bytes[kind] + (row - first[kind]) * row_bytes[kind]; }
};

// How one kind of matrix is packed: pack_rows.cc, pack_down.cc.
struct PackUnits {
  uint32_t count;
  std::array<uint32_t, kPlaneCount> rows_max;  // of one unit in each plane
  PlaneRows (*rows)(const MatrixSource&, uint32_t unit);  // what the unit is in each plane
  void (*pack)(const MatrixSource&, uint32_t unit, const PackedPlanes& to);
};
PackUnits units_of_rows(const MatrixSource& source);
PackUnits units_of_down(const MatrixSource& source);

}  // namespace powerinfer::cuda
