// Devices: how many, which is current on a host thread, what they say of themselves.
#include "device.h"

#include <cstdio>

#include "launch.h"
#include "options.h"

namespace cuda_sim {
namespace {

thread_local int current = 0;

constexpr int kMultiprocessorCount = 4;  // few, so that kernels that divide work by it have several blocks each and a test is soon through

}  // namespace

int device_count() { return options().device_count; }
int current_device() { return current; }

}  // namespace cuda_sim

using namespace cuda_sim;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (options().driver_version < CUDART_VERSION) return returned(cudaErrorInsufficientDriver);
  *count = device_count();
  return *count == 0 ? returned(cudaErrorNoDevice) : cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (device < 0 || device >= device_count()) return returned(cudaErrorInvalidDevice);
  current = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  *device = current;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device_count() == 0) return returned(cudaErrorNoDevice);
  if (device < 0 || device >= device_count()) return returned(cudaErrorInvalidDevice);
  cudaDeviceProp p{};
  std::snprintf(p.name, sizeof p.name, "CUDA simulator (not a GPU)");
  p.totalGlobalMem = options().memory_bytes;
  p.sharedMemPerBlock = LaunchLimits::kSharedBytes;
  p.sharedMemPerBlockOptin = LaunchLimits::kSharedBytesOptIn;
  p.sharedMemPerMultiprocessor = LaunchLimits::kSharedBytesOptIn + 1024;
  p.regsPerBlock = 65536;
  p.warpSize = static_cast<int>(kWarpSize);
  p.maxThreadsPerBlock = static_cast<int>(LaunchLimits::kThreadsPerBlock);
  p.maxThreadsPerMultiProcessor = 1536;
  p.multiProcessorCount = kMultiprocessorCount;
  p.major = options().capability / 10;
  p.minor = options().capability % 10;
  p.l2CacheSize = 4 << 20;
  p.canMapHostMemory = 1;
  p.unifiedAddressing = 1;
  p.concurrentKernels = 1;
  p.asyncEngineCount = 1;
  p.pciBusID = device + 1;
  *properties = p;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  const cudaError_t error = cudaGetDeviceProperties(&p, device);
  if (error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(p.sharedMemPerBlock); return cudaSuccess;
    case cudaDevAttrWarpSize: *value = p.warpSize; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; return cudaSuccess;
    case cudaDevAttrCanMapHostMemory: *value = p.canMapHostMemory; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); return cudaSuccess;
  }
  return returned(cudaErrorInvalidValue);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = options().driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
