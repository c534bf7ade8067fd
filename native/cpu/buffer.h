// Where do the engine's own numbers live?
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace powerinfer {

// T[count] on a cache line's boundary, not initialized. Each buffer is an allocation of its own, so that AddressSanitizer sees its end.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(uint64_t count) {
    void* memory = nullptr;
    if (count > 0 && ::posix_memalign(&memory, 64, count * sizeof(T)) != 0) throw std::bad_alloc();
    data_ = static_cast<T*>(memory);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  T* get() const { return data_; }
  T& operator[](uint64_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
};

}  // namespace powerinfer
