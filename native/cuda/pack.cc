// How does a tensor of the file become the planes of layout.h? Here: how it is cut into pieces.
#include "pack.h"

#include <algorithm>

#include "../cpu/error.h"

namespace powerinfer::cuda {
namespace {

constexpr uint64_t kPlaneAlignment = 16;  // in the staging buffer
constexpr uint64_t kChunkBytes = 64 * 1024;  // what a thread takes at a time

uint64_t aligned(uint64_t size_bytes) { return (size_bytes + kPlaneAlignment - 1) / kPlaneAlignment * kPlaneAlignment; }

PackUnits units_of(const MatrixSource& source) { return source.down ? units_of_down(source) : units_of_rows(source); }

uint64_t unit_bytes_max(const PackUnits& units, const MatrixLayout& layout) {
  uint64_t size_bytes = 0;
  for (uint32_t kind = 0; kind < kPlaneCount; ++kind) size_bytes += aligned(units.rows_max[kind] * layout.planes[kind].row_bytes);
  return size_bytes;
}

// Units first .. end - 1, in every plane.
PlaneRows rows_between(const PackUnits& units, const MatrixSource& source, uint32_t first, uint32_t end) {
  PlaneRows rows = units.rows(source, first);
  const PlaneRows last = units.rows(source, end - 1);
  for (uint32_t kind = 0; kind < kPlaneCount; ++kind) rows.count[kind] = last.first[kind] + last.count[kind] - rows.first[kind];
  return rows;
}

}  // namespace

uint64_t staging_bytes_min(const MatrixSource& source) { return unit_bytes_max(units_of(source), layout_of(source)); }

void pack(ThreadPool& pool, const MatrixSource& source, uint8_t* staging, uint64_t staging_bytes, const Send& send) {
  const MatrixLayout layout = layout_of(source);
  const PackUnits units = units_of(source);
  if (units.count == 0) return;
  const uint64_t unit_bytes = unit_bytes_max(units, layout);
  const uint32_t piece_units = static_cast<uint32_t>(std::min<uint64_t>(staging_bytes / unit_bytes, units.count));
  if (piece_units == 0) {
    fail(POWERINFER_OUT_OF_MEMORY, "%.0f bytes of a matrix are packed at once, and the buffer has %.0f", static_cast<double>(unit_bytes),
         static_cast<double>(staging_bytes));
  }
  const uint32_t chunk_units = static_cast<uint32_t>(std::max<uint64_t>(1, kChunkBytes / unit_bytes));
  for (uint32_t first = 0; first < units.count; first += piece_units) {
    const uint32_t count = std::min(piece_units, units.count - first);
    const PlaneRows rows = rows_between(units, source, first, first + count);
    PackedPlanes planes;
    uint8_t* next = staging;
    for (uint32_t kind = 0; kind < kPlaneCount; ++kind) {
      planes.bytes[kind] = next;
      planes.first[kind] = rows.first[kind];
      planes.row_bytes[kind] = layout.planes[kind].row_bytes;
      next += aligned(rows.count[kind] * planes.row_bytes[kind]);
    }
    pool.for_each((count + chunk_units - 1) / chunk_units, [&](uint32_t chunk, uint32_t) {
      const uint32_t end = first + std::min(count, (chunk + 1) * chunk_units);
      for (uint32_t unit = first + chunk * chunk_units; unit < end; ++unit) units.pack(source, unit, planes);
    });
    for (uint32_t kind = 0; kind < kPlaneCount; ++kind) {
      const Plane& plane = layout.planes[kind];
      const uint64_t size_bytes = rows.count[kind] * plane.row_bytes;
      if (size_bytes != 0) send(plane.offset_bytes + rows.first[kind] * plane.row_bytes, planes.bytes[kind], size_bytes);
    }
  }
}

}  // namespace powerinfer::cuda
