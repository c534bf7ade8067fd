// Device memory with the values of a vector, for tests.
#pragma once
#include <vector>

#include "../../test/test.h"
#include "../cuda.h"

namespace powerinfer_test {

template <class T>
class DeviceVector {
 public:
  explicit DeviceVector(const std::vector<T>& values) : count_(values.size()) {
    CHECK_EQUAL(cudaMalloc(&memory_, count_ * sizeof(T)), cudaSuccess);
    CHECK_EQUAL(cudaMemcpy(memory_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~DeviceVector() { cudaFree(memory_); }
  DeviceVector(const DeviceVector&) = delete;
  DeviceVector& operator=(const DeviceVector&) = delete;

  T* data() const { return memory_; }
  std::vector<T> values() const {
    std::vector<T> copied(count_);
    CHECK_EQUAL(cudaDeviceSynchronize(), cudaSuccess);
    CHECK_EQUAL(cudaMemcpy(copied.data(), memory_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return copied;
  }
  T first() const { return values()[0]; }

 private:
  T* memory_ = nullptr;
  size_t count_;
};

}  // namespace powerinfer_test
