// How does a matrix come into memory of its own?
//
// A mapped file is read in place, page by page of the page cache. A copy in huge pages is read faster (25 instead of 22 GB/s, Zen 3, two threads), and a
// copy may have the layout that kernels like best: panels of eight rows whose bytes are transposed as code_panels.h wants them.
#pragma once
#include <cstdint>
#include <memory>

#include "thread_pool.h"

namespace powerinfer {

// Bytes in memory of their own, in huge pages where they fill some.
class ResidentBytes {
 public:
  // Throws std::bad_alloc.
  explicit ResidentBytes(uint64_t size_bytes);
  ~ResidentBytes();
  ResidentBytes(const ResidentBytes&) = delete;
  ResidentBytes& operator=(const ResidentBytes&) = delete;
  uint8_t* get() const { return bytes_; }

 private:
  uint8_t* bytes_;
  uint64_t size_bytes_;
};

// Whether matmul reads panels of this type. All of them: a block's fields are 16-bit scales and runs of four bytes.
bool has_panels(uint32_t type);

/*
 * Panels: rows 8 p .. 8 p + 7 of a matrix take 8 · row_bytes from 8 p · row_bytes on, block after block, each with its fields in their order.
 * Where a row has a field of n units (4 bytes, or 2 for a scale of its own), the panel has unit 0 of all eight rows, unit 1 of all eight, ….
 * The last panel repeats the last row if rows are missing.
 */
uint64_t panels_bytes(uint64_t row_bytes, uint32_t rows);
void write_panels(ThreadPool& pool, uint32_t type, const uint8_t* from, uint64_t row_bytes, uint32_t rows, uint8_t* to);

}  // namespace powerinfer
