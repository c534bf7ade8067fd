// Bytes that end at a page nobody may touch, filled with 0xFF: floats are NaN, indices are huge.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cuda_sim {

class GuardedMemory {
 public:
  // Throws std::bad_alloc. The first byte is aligned for the widest loads, 16 bytes: up to 15 bytes lie between the last one and the page.
  explicit GuardedMemory(size_t bytes);
  ~GuardedMemory();
  GuardedMemory(GuardedMemory&& other) noexcept;
  GuardedMemory& operator=(GuardedMemory&& other) noexcept;

  uint8_t* begin() const { return begin_; }
  size_t size() const { return bytes_; }
  void poison();
  size_t mapped_bytes() const { return mapped_bytes_; }
  // Nobody may touch it any more; its address is given out again when this is destroyed.
  void close();

 private:
  void release();

  uint8_t* mapping_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint8_t* begin_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace cuda_sim
