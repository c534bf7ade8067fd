// How large is a matrix on the device, and where in it does each plane lie?
//
// A matrix is one allocation. It is described before anything is allocated, so that what does not fit is refused in time.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "matrix.h"

namespace powerinfer::cuda {

// The file's tensor that a matrix is made of.
struct MatrixSource {
  uint32_t type;
  uint32_t width, rows;                  // of the tensor
  const uint8_t* bytes = nullptr;        // of the tensor; null where only sizes are asked for
  bool down = false;                     // a DOWN: what is a row of the matrix is a column of the tensor
  const std::vector<uint32_t>* members = nullptr;  // ascending: the rows (DOWN: the columns) that are taken; null: all

  uint32_t matrix_width() const { return down ? rows : width; }
  uint32_t matrix_rows() const { return members != nullptr ? static_cast<uint32_t>(members->size()) : down ? width : rows; }
  uint32_t member(uint32_t row) const { return members != nullptr ? (*members)[row] : row; }
};

enum PlaneKind : uint32_t { kCodes, kHigh, kSmallScales, kScales, kNeurons, kPlaneCount };

struct Plane {
  uint64_t offset_bytes = 0;  // from the matrix's first byte; a multiple of 256, as what cudaMalloc returns
  uint64_t row_bytes = 0;
  uint32_t row_count = 0;     // 0: there is no such plane
};

struct MatrixLayout {
  std::array<Plane, kPlaneCount> planes;
  uint64_t size_bytes = 0;
  bool columns = false;  // DownMatrix::columns
};

// Fails with UNSUPPORTED for a type that the device does not read and for 2^32 octets or more, and with INVALID_ARGUMENT for rows that are not whole blocks.
MatrixLayout layout_of(const MatrixSource& source);

// The matrix whose first byte is at `device`; an ordinary one is its `rows`.
DownMatrix matrix_at(const MatrixSource& source, const MatrixLayout& layout, const uint8_t* device);

}  // namespace powerinfer::cuda
