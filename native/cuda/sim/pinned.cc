// Pinned host memory: the device reads and writes it in place.
#include "pinned.h"

#include "allocations.h"
#include "capture.h"
#include "device.h"

using namespace cuda_sim;

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned flags) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  if (memory == nullptr || flags > 7) return returned(cudaErrorInvalidValue);
  *memory = bytes == 0 ? nullptr : Allocations::all().allocate(bytes, kHost);
  return *memory == nullptr && bytes != 0 ? returned(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes, unsigned flags) { return cudaHostAlloc(memory, bytes, flags); }

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags) {
  const bool is_pinned = Allocations::all().holds(host, 1, true) == Allocations::Holds::all;
  if (device == nullptr || flags != 0 || !is_pinned) return returned(cudaErrorInvalidValue);
  *device = host;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  return memory == nullptr || Allocations::all().release(memory, true) ? cudaSuccess : returned(cudaErrorInvalidValue);
}
