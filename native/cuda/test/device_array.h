// Arrays in device memory, for tests.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "../cuda.h"

namespace powerinfer_test {

inline void require(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("CUDA says: ") + cudaGetErrorString(error));
}

template <class T>
class DeviceArray {
 public:
  // At least one value, so that there is something to point to.
  explicit DeviceArray(const std::vector<T>& values) : count_(values.size()) {
    require(cudaMalloc(reinterpret_cast<void**>(&values_), size_bytes()));
    require(cudaMemcpy(values_, values.data(), size_bytes(), cudaMemcpyHostToDevice));
    require(cudaStreamSynchronize(nullptr));  // for streams of a test's own
  }
  DeviceArray(uint64_t count, T value) : DeviceArray(std::vector<T>(count, value)) {}
  ~DeviceArray() { cudaFree(values_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* get() const { return values_; }
  // What is there when all work that was launched is done.
  std::vector<T> read() const {
    require(cudaDeviceSynchronize());
    std::vector<T> values(count_);
    require(cudaMemcpy(values.data(), values_, size_bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  uint64_t size_bytes() const { return count_ * sizeof(T); }

  T* values_ = nullptr;
  uint64_t count_;
};

}  // namespace powerinfer_test
