// Where does memory on the device come from, and how much may there be?
#include "memory.h"

namespace powerinfer::cuda {

void Budget::take(uint64_t bytes, const char* purpose) {
  const uint64_t left = limit_bytes_ - used_bytes_;
  if (bytes > left) {
    constexpr double kMiB = 1 << 20;
    fail(POWERINFER_OUT_OF_MEMORY, "no room for %s: %.1f MiB are wanted, %.1f of the %.1f MiB that may be used are left; raise --vram-budget, lower --ctx, or leave more neurons to the CPU",
         purpose, static_cast<double>(bytes) / kMiB, static_cast<double>(left) / kMiB, static_cast<double>(limit_bytes_) / kMiB);
  }
  used_bytes_ += bytes;
}

DeviceMemory::DeviceMemory(Budget& budget, uint64_t size_bytes, const char* purpose) {
  if (size_bytes == 0) return;
  budget.take(size_bytes, purpose);
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, size_bytes);
  if (error != cudaSuccess) {
    budget.give_back(size_bytes);
    check(error, "allocate memory on the device");
  }
  budget_ = &budget;
  bytes_ = static_cast<uint8_t*>(memory);
  size_bytes_ = size_bytes;
  cudaError_t cleared = cudaMemset(memory, 0, size_bytes);
  // It does not wait, and streams that copy here next do not wait for it.
  if (cleared == cudaSuccess) cleared = cudaStreamSynchronize(nullptr);
  if (cleared != cudaSuccess) release();  // an object that is not made has no destructor
  check(cleared, "clear memory on the device");
}

void DeviceMemory::release() {
  if (bytes_ == nullptr) return;
  cudaFree(bytes_);
  budget_->give_back(size_bytes_);
  bytes_ = nullptr;
}

PinnedMemory::PinnedMemory(uint64_t size_bytes) {
  if (size_bytes == 0) return;
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, size_bytes, cudaHostAllocMapped | cudaHostAllocPortable), "allocate page-locked memory");
  bytes_ = static_cast<uint8_t*>(memory);
}

}  // namespace powerinfer::cuda
