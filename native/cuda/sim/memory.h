// Device memory, and copies. An allocation is filled with 0xFF and ends at a page nobody may touch; what is freed stays unreadable.
#pragma once
#include <cstddef>

#include "stream.h"

enum cudaMemcpyKind {
  cudaMemcpyHostToHost = 0,
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4,
};

cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes);

// Copies and fills go on the stream, whatever the host memory is: CUDA waits for some of them, which nobody should count on.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream = nullptr);
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream = nullptr);
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream = nullptr);
// On the default stream. The host may go on before the device has it where CUDA lets it: after a fill, a copy within the device, and one of ordinary host
// memory to the device, which is only copied aside. Other streams see what is there once somebody has waited for the default one.
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemset(void* memory, int value, size_t bytes);

template <class T>
cudaError_t cudaMalloc(T** memory, size_t bytes) {
  void* made = nullptr;
  const cudaError_t error = cudaMalloc(&made, bytes);
  *memory = static_cast<T*>(made);
  return error;
}
