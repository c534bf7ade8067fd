// How does a matrix come into memory of its own?
//
// A mapped file is read in place, page by page of the page cache. A copy in huge pages is read faster (25 instead of 22 GB/s, Zen 3, two threads), and a
// copy may have the layout that kernels like best: panels of eight rows whose bytes are transposed as code_panels.h wants them.
#pragma once
#include <cstdint>
#include <vector>

#include "thread_pool.h"

namespace powerinfer {

// Memory for the matrices of one model, side by side in huge pages; all of it is given back at once.
class ResidentMemory {
 public:
  ResidentMemory() = default;
  ~ResidentMemory();
  ResidentMemory(const ResidentMemory&) = delete;
  ResidentMemory& operator=(const ResidentMemory&) = delete;

  // `size_bytes` bytes at a multiple of 64. Throws std::bad_alloc.
  uint8_t* take(uint64_t size_bytes);

 private:
  // Address space: what nobody writes to takes no memory.
  struct Slab {
    uint8_t* begin;
    uint64_t size_bytes;
  };
  std::vector<Slab> slabs_;
  uint8_t* next_ = nullptr;
  uint64_t left_bytes_ = 0;
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
