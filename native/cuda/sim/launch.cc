// How a kernel is launched.
#include "launch.h"

#include <map>
#include <set>
#include <utility>

#include "capture.h"
#include "device.h"

namespace cuda_sim {
namespace {

// What cudaFuncSetAttribute has allowed each kernel.
std::map<const void*, size_t>& shared_bytes_allowed() {
  static std::map<const void*, size_t> by_kernel;
  return by_kernel;
}

// Kernels that a device has loaded: it does when they are first launched.
std::set<std::pair<const void*, int>>& loaded() {
  static std::set<std::pair<const void*, int>> all;
  return all;
}

bool shape_is_valid(dim3 blocks, dim3 threads) {
  using Limits = LaunchLimits;
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0 || threads.x == 0 || threads.y == 0 || threads.z == 0) return false;
  if (blocks.x > Limits::kBlocksX || blocks.y > Limits::kBlocksYZ || blocks.z > Limits::kBlocksYZ) return false;
  if (threads.x > Limits::kThreadsPerBlock || threads.y > Limits::kThreadsPerBlock || threads.z > Limits::kThreadsZ) return false;
  return uint64_t{threads.x} * threads.y * threads.z <= Limits::kThreadsPerBlock;
}

}  // namespace

cudaError_t enqueue(const void* kernel, Grid grid, cudaStream_t stream) {
  if (device_count() == 0) return cudaErrorNoDevice;
  const std::shared_ptr<Queue> queue = queue_of(stream);
  if (queue == nullptr || queue->device != current_device()) return cudaErrorInvalidResourceHandle;
  if (!shape_is_valid(grid.blocks, grid.threads)) return cudaErrorInvalidConfiguration;
  {
    const QueuesLock lock;
    const auto allowed = shared_bytes_allowed().find(kernel);
    const size_t most = allowed == shared_bytes_allowed().end() ? LaunchLimits::kSharedBytes : allowed->second;
    if (grid.shared_bytes > most) return cudaErrorInvalidValue;
    const bool is_new = loaded().emplace(kernel, queue->device).second;
    if (is_new && !Capture::permits_unsafe_calls()) return cudaErrorStreamCaptureUnsupported;
  }
  queue->push([grid = std::move(grid)] { run_grid(grid); });
  return cudaSuccess;
}

cudaError_t set_function_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || static_cast<size_t>(value) > LaunchLimits::kSharedBytesOptIn)
    return returned(cudaErrorInvalidValue);
  const QueuesLock lock;
  shared_bytes_allowed()[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

}  // namespace cuda_sim
