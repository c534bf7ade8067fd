// Pinned host memory: the device reads and writes it in place. Both see it at one address.
#pragma once
#include "memory.h"

constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2, cudaHostAllocWriteCombined = 4;

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned flags);
cudaError_t cudaMallocHost(void** memory, size_t bytes, unsigned flags = cudaHostAllocDefault);
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags);
cudaError_t cudaFreeHost(void* memory);

template <class T>
cudaError_t cudaHostAlloc(T** memory, size_t bytes, unsigned flags) {
  void* made = nullptr;
  const cudaError_t error = cudaHostAlloc(&made, bytes, flags);
  *memory = static_cast<T*>(made);
  return error;
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t bytes, unsigned flags = cudaHostAllocDefault) {
  return cudaHostAlloc(memory, bytes, flags);
}
template <class T>
cudaError_t cudaHostGetDevicePointer(T** device, void* host, unsigned flags) {
  void* seen = nullptr;
  const cudaError_t error = cudaHostGetDevicePointer(&seen, host, flags);
  *device = static_cast<T*>(seen);
  return error;
}
