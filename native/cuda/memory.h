// Where does memory on the device come from, and how much may there be?
#pragma once
#include <cstdint>
#include <utility>

#include "status.h"

namespace powerinfer::cuda {

// What one device of ours may allocate; what does not fit is refused before CUDA is asked.
class Budget {
 public:
  explicit Budget(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  Budget(const Budget&) = delete;

  uint64_t limit_bytes() const { return limit_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }
  // Fails with OUT_OF_MEMORY, naming `purpose` and what can be lowered.
  void take(uint64_t bytes, const char* purpose);
  void give_back(uint64_t bytes) { used_bytes_ -= bytes; }

 private:
  const uint64_t limit_bytes_;
  uint64_t used_bytes_ = 0;
};

// Bytes on the device, all zero at first, counted in a budget that outlives them.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Budget& budget, uint64_t size_bytes, const char* purpose);
  ~DeviceMemory() { release(); }
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }

  uint8_t* bytes() const { return bytes_; }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  void release();
  void swap(DeviceMemory& other) {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    std::swap(size_bytes_, other.size_bytes_);
  }

  Budget* budget_ = nullptr;
  uint8_t* bytes_ = nullptr;
  uint64_t size_bytes_ = 0;
};

// Page-locked memory of the host, which the device reads and writes too.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(uint64_t size_bytes);
  ~PinnedMemory() {
    if (bytes_ != nullptr) cudaFreeHost(bytes_);
  }
  PinnedMemory(PinnedMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)) {}
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  uint8_t* bytes() const { return bytes_; }

 private:
  uint8_t* bytes_ = nullptr;
};

// Cuts one piece of memory into aligned parts. Without memory it only adds up, so that the same code says how much is needed.
class Layout {
 public:
  static constexpr uint64_t kAlignment = 256;  // of cudaMalloc, and of every load

  explicit Layout(uint8_t* memory = nullptr) : memory_(memory) {}

  template <class T>
  T* take(uint64_t count) {
    const uint64_t at = size_bytes_;
    size_bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return memory_ == nullptr || count == 0 ? nullptr : reinterpret_cast<T*>(memory_ + at);
  }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  uint8_t* memory_;
  uint64_t size_bytes_ = 0;
};

}  // namespace powerinfer::cuda
