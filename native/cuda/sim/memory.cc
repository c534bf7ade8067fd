// Device memory, and copies.
#include "memory.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "allocations.h"
#include "capture.h"
#include "device.h"
#include "options.h"

using namespace cuda_sim;

namespace {

using Holds = Allocations::Holds;

// Whether `bytes` from `memory` on are the device's (or, if not `of_device`, are not).
bool lies(const void* memory, size_t bytes, bool of_device) {
  const Holds holds = Allocations::all().holds(memory, bytes, false);
  return of_device ? holds == Holds::all : holds == Holds::nothing && Allocations::all().holds(memory, bytes, true) != Holds::part;
}

cudaError_t check_copy(const void* to, size_t to_bytes, const void* from, size_t from_bytes, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (to == nullptr || from == nullptr) return cudaErrorInvalidValue;
  if (kind == cudaMemcpyDefault) {
    const auto is_known = [](const void* memory, size_t bytes) { return lies(memory, bytes, true) || lies(memory, bytes, false); };
    return is_known(to, to_bytes) && is_known(from, from_bytes) ? cudaSuccess : cudaErrorInvalidValue;
  }
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return lies(to, to_bytes, to_device) && lies(from, from_bytes, from_device) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t push(cudaStream_t stream, Piece piece) {
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr) return returned(cudaErrorInvalidResourceHandle);
  queue->push(std::move(piece));
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  if (memory == nullptr) return returned(cudaErrorInvalidValue);
  *memory = bytes == 0 ? nullptr : Allocations::all().allocate(bytes, current_device());
  return *memory == nullptr && bytes != 0 ? returned(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  if (device_count() > 0) cudaStreamSynchronize(nullptr);  // a copy that cudaMemcpy did not wait for
  return memory == nullptr || Allocations::all().release(memory, false) ? cudaSuccess : returned(cudaErrorInvalidValue);
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  *total_bytes = options().memory_bytes;
  *free_bytes = options().memory_bytes - Allocations::all().used_bytes(current_device());
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const cudaError_t error = check_copy(to, bytes, from, bytes, kind);
  if (error != cudaSuccess) return returned(error);
  return push(stream, [=] { std::memmove(to, from, bytes); });
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  if (width == 0 || height == 0) return cudaSuccess;
  if (width > to_pitch || width > from_pitch) return returned(cudaErrorInvalidValue);
  const cudaError_t error = check_copy(to, to_pitch * (height - 1) + width, from, from_pitch * (height - 1) + width, kind);
  if (error != cudaSuccess) return returned(error);
  return push(stream, [=] {
    for (size_t row = 0; row < height; ++row)
      std::memmove(static_cast<uint8_t*>(to) + row * to_pitch, static_cast<const uint8_t*>(from) + row * from_pitch, width);
  });
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!lies(memory, bytes, true) && Allocations::all().holds(memory, bytes, true) != Holds::all) return returned(cudaErrorInvalidValue);
  return push(stream, [=] { std::memset(memory, value, bytes); });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  const bool is_staged = kind == cudaMemcpyHostToDevice && bytes > 0 && Allocations::all().holds(from, bytes, true) == Holds::nothing;
  if (!is_staged) {
    const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind);
    return error != cudaSuccess || kind == cudaMemcpyDeviceToDevice ? error : cudaStreamSynchronize(nullptr);
  }
  cudaError_t error = check_copy(to, bytes, from, bytes, kind);
  if (error == cudaSuccess) error = cudaStreamSynchronize(nullptr);
  if (error != cudaSuccess) return returned(error);
  const uint8_t* const first = static_cast<const uint8_t*>(from);
  return push(nullptr, [to, staging = std::vector<uint8_t>(first, first + bytes)] { std::memcpy(to, staging.data(), staging.size()); });
}

cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  if (!Capture::permits_unsafe_calls()) return returned(cudaErrorStreamCaptureUnsupported);
  const cudaError_t error = cudaMemsetAsync(memory, value, bytes);
  const bool is_pinned = bytes > 0 && Allocations::all().holds(memory, bytes, true) == Holds::all;
  return error == cudaSuccess && is_pinned ? cudaStreamSynchronize(nullptr) : error;
}
