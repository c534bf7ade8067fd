// How a kernel is declared and launched. A launch is checked when it is made: a wrong one runs nothing, and cudaGetLastError says so.
#pragma once
#include <tuple>
#include <utility>

#include "grid.h"
#include "shared_memory.h"
#include "stream.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#define CUDA_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(cuda_sim::current_thread->block.dynamic_shared())
#define CUDA_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  cuda_sim::launch(#kernel, kernel, dim3(grid), dim3(block), shared_bytes, stream)(__VA_ARGS__)

namespace cuda_sim {

// What a launch may ask for; kernels can count on it from compute capability 8.0 on.
struct LaunchLimits {
  static constexpr unsigned kThreadsPerBlock = 1024, kThreadsZ = 64, kBlocksX = 0x7fffffff, kBlocksYZ = 65535;
  static constexpr size_t kSharedBytes = 48 * 1024, kSharedBytesOptIn = 99 * 1024;
};

// Checks the shape and puts the kernel into the stream.
cudaError_t enqueue(const void* kernel, Grid grid, cudaStream_t stream);

// A launch that waits for the kernel's arguments; they are converted and copied when they are given.
template <class... Parameters>
auto launch(const char* name, void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared_bytes, cudaStream_t stream) {
  return [=](Parameters... arguments) {
    auto body = [kernel, values = std::tuple<Parameters...>(arguments...)] { std::apply(kernel, values); };
    returned(enqueue(reinterpret_cast<const void*>(kernel), Grid{name, blocks, threads, shared_bytes, std::move(body)}, stream));
  };
}

}  // namespace cuda_sim

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9,
};

namespace cuda_sim {
cudaError_t set_function_attribute(const void* kernel, cudaFuncAttribute attribute, int value);
}

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
  return cuda_sim::set_function_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
