// How fast is a device, as a placement wants to know it?
#include "measure.h"

#include <algorithm>
#include <chrono>

#include "device.h"

namespace powerinfer::cuda {
namespace {

// As much as this leaves little of a pass in the L2 cache for the next one...
constexpr uint64_t kCacheMultiple = 8;
// ...and takes the device's memory some 300 µs or more, beside which the few that a launch takes are little: caches of some are small.
constexpr uint64_t kMemoryPart = 64;
constexpr uint32_t kPasses = 5;
constexpr uint32_t kThreads = 256;
constexpr uint32_t kBlocksPerMultiprocessor = 8;
constexpr uint32_t kHandOffs = 201;
constexpr uint32_t kHiddenWidth = 4096;  // of a model of 7B parameters

// What is read must go somewhere, or it would not be read. The buffer is zeros: nothing is ever written.
__global__ void read_all(const uint4* from, uint64_t count, uint32_t* never) {
  const uint64_t step = uint64_t{gridDim.x} * kThreads;
  uint32_t mixed = 0;
#pragma unroll 4
  for (uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    const uint4 four = from[i];
    mixed |= four.x | four.y | four.z | four.w;
  }
  if (mixed != 0) *never = mixed;
}

struct TimedEvent {
  TimedEvent() { check(cudaEventCreate(&handle), "make an event"); }
  ~TimedEvent() { cudaEventDestroy(handle); }
  TimedEvent(const TimedEvent&) = delete;
  cudaEvent_t handle = nullptr;
};

double read_bytes_per_second(const cudaDeviceProp& properties, Budget& budget) {
  const uint64_t least = std::max<uint64_t>(kCacheMultiple * static_cast<uint64_t>(properties.l2CacheSize), properties.totalGlobalMem / kMemoryPart);
  const uint64_t wanted = std::min(least, budget.limit_bytes() / 2);
  const uint64_t count = wanted / sizeof(uint4);
  const DeviceMemory buffer(budget, count * sizeof(uint4), "measuring how fast memory is read");
  const DeviceMemory never(budget, sizeof(uint32_t), "measuring how fast memory is read");
  const Stream stream;
  const TimedEvent start, end;
  float least_ms = 0;
  for (uint32_t pass = 0; pass <= kPasses; ++pass) {
    check(cudaEventRecord(start.handle, stream.handle), "measure reading");
    CUDA_LAUNCH(read_all, kBlocksPerMultiprocessor * properties.multiProcessorCount, kThreads, 0, stream.handle, reinterpret_cast<const uint4*>(buffer.bytes()), count,
                reinterpret_cast<uint32_t*>(never.bytes()));
    check_launches("measure reading");
    check(cudaEventRecord(end.handle, stream.handle), "measure reading");
    check(cudaEventSynchronize(end.handle), "measure reading");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start.handle, end.handle), "measure reading");
    if (pass <= 1 || ms < least_ms) least_ms = ms;  // the first pass warms up
  }
  if (!(least_ms > 0)) fail(POWERINFER_UNSUPPORTED, "the device read %.1f MiB in no time that its clock tells", static_cast<double>(wanted) / (1 << 20));
  return static_cast<double>(count * sizeof(uint4)) / (least_ms * 1e-3);
}

// What a block costs where another device has a part of it, without what that device computes: the way to the host, the way back, and the merge.
double hand_off_seconds(Budget& budget) {
  const DeviceMemory on_device(budget, kHiddenWidth * sizeof(float) + sizeof(uint32_t), "measuring the way to the host");
  float* const hidden = reinterpret_cast<float*>(on_device.bytes());
  Layout measured;
  measured.take<float>(2 * kHiddenWidth);
  measured.take<uint32_t>(1);
  const PinnedMemory on_host(measured.size_bytes());
  Layout layout(on_host.bytes());
  float* const out = layout.take<float>(2 * kHiddenWidth);
  float* const back = out + kHiddenWidth;
  uint32_t* const arrived = layout.take<uint32_t>(1);
  *arrived = 0;
  const DeviceRows rows{hidden, kHiddenWidth, kHiddenWidth};
  const Stream stream;
  std::vector<double> seconds;
  auto before = std::chrono::steady_clock::now();
  for (uint32_t time = 1; time <= kHandOffs; ++time) {
    launch_hand_over({rows, 1, nullptr, 0, out, nullptr, arrived, reinterpret_cast<uint32_t*>(hidden + kHiddenWidth)}, stream.handle);
    check_launches("hand over the hidden vectors");
    wait_for(stream.handle, arrived, time);
    const auto now = std::chrono::steady_clock::now();
    seconds.push_back(std::chrono::duration<double>(now - before).count());
    before = now;
    std::copy(out, out + kHiddenWidth, back);
    launch_merge({hidden, nullptr, 0, 0, back, kHiddenWidth, nullptr, 1, rows}, stream.handle);
    check_launches("merge the shares");
  }
  check(cudaStreamSynchronize(stream.handle), "merge the shares");
  const auto middle = seconds.begin() + kHandOffs / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

}  // namespace

powerinfer_backend_speed measure_gpu(uint32_t ordinal) {
  const powerinfer_backend_facts facts = gpu_facts(ordinal);
  use_gpu(ordinal);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, static_cast<int>(ordinal)), "ask the device what it is");
  Budget budget(static_cast<uint64_t>(facts.memory_available_bytes));
  powerinfer_backend_speed speed{};
  speed.struct_size = sizeof speed;
  speed.read_bytes_per_second = read_bytes_per_second(properties, budget);
  speed.hand_off_seconds = hand_off_seconds(budget);
  return speed;
}

}  // namespace powerinfer::cuda
