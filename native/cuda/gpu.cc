// Which device is this, and what has it got?
#include "gpu.h"

#include <cstdio>

#include "status.h"

namespace powerinfer::cuda {
namespace {

// Kernels are compiled from here on: dp4a, asynchronous copies and bfloat16 are everywhere.
constexpr int kMajorMin = 8;

// Of a device that runs these kernels; nothing is made on it.
cudaDeviceProp properties_of(uint32_t ordinal) {
  const uint32_t count = gpu_count();
  if (ordinal >= count) fail(POWERINFER_INVALID_ARGUMENT, "device %u was asked for, this machine has %u; they are numbered from 0", ordinal, count);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, static_cast<int>(ordinal)), "ask the device what it is");
  if (properties.major < kMajorMin) {
    fail(POWERINFER_UNSUPPORTED, "%s has compute capability %d.%d; %d.0 is needed, which is Ampere or newer", properties.name, properties.major, properties.minor, kMajorMin);
  }
  return properties;
}

}  // namespace

uint32_t gpu_count() {
  int count = 0;
  check(cudaGetDeviceCount(&count), "find a CUDA device");
  return static_cast<uint32_t>(count);
}

powerinfer_backend_facts gpu_facts(uint32_t ordinal) {
  const cudaDeviceProp properties = properties_of(ordinal);
  check(cudaSetDevice(static_cast<int>(ordinal)), "use the device");
  size_t free_bytes = 0, total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "ask the device for its memory");
  int driver_version = 0;
  cudaDriverGetVersion(&driver_version);
  powerinfer_backend_facts facts{};
  facts.struct_size = sizeof facts;
  facts.driver_version = static_cast<uint32_t>(driver_version);
  facts.memory_bytes = static_cast<double>(total_bytes);
  facts.memory_available_bytes = static_cast<double>(free_bytes);
  std::snprintf(facts.name, sizeof facts.name, "%.63s", properties.name);
  return facts;
}

void use_gpu(uint32_t ordinal) {
  properties_of(ordinal);
  make_current(ordinal);
}

void make_current(uint32_t ordinal) {
  cudaGetLastError();
  check(cudaSetDevice(static_cast<int>(ordinal)), "use the device");
}

}  // namespace powerinfer::cuda
