// How is a device opened, made ready, and given caches?
#include "device.h"

#include <algorithm>

#include "../cpu/pause.h"

namespace powerinfer::cuda {
namespace {

// What is left free by default: for the driver, other programs and what CUDA allocates by itself.
constexpr double kMarginBytes = 256.0 * (1 << 20);
constexpr double kMarginShare = 0.02;

uint32_t ordinal_of(const powerinfer_device_context& context) {
  const double ordinal = powerinfer_option_number(context.plugin, "device", 0);
  if (!(ordinal >= 0 && ordinal < 1024)) fail(POWERINFER_INVALID_ARGUMENT, "device is %g; devices are numbered from 0", ordinal);
  return static_cast<uint32_t>(ordinal);
}

uint64_t budget_of(const powerinfer_device_context& context, uint32_t ordinal) {
  const powerinfer_backend_facts facts = gpu_facts(ordinal);
  const double wanted = powerinfer_option_number(context.plugin, "vram_budget_bytes", 0);
  if (!(wanted >= 0)) fail(POWERINFER_INVALID_ARGUMENT, "vram_budget_bytes is %g", wanted);
  if (wanted > facts.memory_available_bytes) {
    fail(POWERINFER_OUT_OF_MEMORY, "the budget is %.2f GiB, %.2f of the %.2f GiB of %s are free; lower --vram-budget", wanted / (1 << 30),
         facts.memory_available_bytes / (1 << 30), facts.memory_bytes / (1 << 30), facts.name);
  }
  if (wanted > 0) return static_cast<uint64_t>(wanted);
  const double margin = std::max(kMarginBytes, kMarginShare * facts.memory_bytes);
  return static_cast<uint64_t>(std::max(0.0, facts.memory_available_bytes - margin));
}

uint64_t position_bytes_of(const powerinfer_model_shape& shape, uint32_t type) {
  switch (type) {
    case POWERINFER_CACHE_F16: return uint64_t{shape.head_width} * 2;
    case POWERINFER_CACHE_F32: return uint64_t{shape.head_width} * 4;
    default:
      if (shape.head_width % 32 != 0) fail(POWERINFER_INVALID_ARGUMENT, "heads of %u are not whole blocks of 32, which a q8_0 cache has; choose f16", shape.head_width);
      return uint64_t{shape.head_width} / 32 * 34;
  }
}

// The first number that no open cache has.
uint32_t free_number(const std::vector<CudaCache>& caches) {
  for (uint32_t number = 1; number <= kCachesMax; ++number) {
    if (std::none_of(caches.begin(), caches.end(), [&](const CudaCache& cache) { return cache.number == number; })) return number;
  }
  fail(POWERINFER_OUT_OF_MEMORY, "%u caches are open; close some", kCachesMax);
}

}  // namespace

Device::Device(const powerinfer_device_context& given)
    : context(given), shape(*given.plugin->shape), ordinal(ordinal_of(given)), words((shape.ffn_width + 31) / 32) {
  if (given.home != 0 && (shape.head_width % 8 != 0 || shape.head_width > kHeadWidthMax)) {
    fail(POWERINFER_UNSUPPORTED, "heads are %u wide; the device has attention for multiples of 8 up to %u", shape.head_width, kHeadWidthMax);
  }
  use_gpu(ordinal);
  budget = std::make_unique<Budget>(budget_of(given, ordinal));
  stream = std::make_unique<Stream>();
  weights = std::make_unique<Weights>(given);
  selectors = std::make_unique<Selectors>(SelectorPlace{*budget, queue(), ordinal, shape});
  copied_in = std::make_unique<Event>();
  for (std::unique_ptr<Event>& event : remote_read) event = std::make_unique<Event>();
}

Device::~Device() {
  if (stream) cudaStreamSynchronize(queue());
}

void make_ready(Device& device) {
  const bool home = device.context.home != 0;
  if (home && device.inverse_frequencies.size() != device.shape.rope_width / 2) fail(POWERINFER_INCOMPLETE, "the rope frequencies were not given");
  device.weights->upload(*device.budget, device.queue());
  Layout measured;
  workspace_of(device.shape, home, device.weights->share_count_max, measured);
  device.memory = DeviceMemory(*device.budget, measured.size_bytes(), "the workspace");
  Layout layout(device.memory.bytes());
  device.work = workspace_of(device.shape, home, device.weights->share_count_max, layout);
  device.exchange = std::make_unique<Exchange>(device.shape, home);
  device.tallies = DeviceMemory(*device.budget, device.shape.block_count * sizeof(Tally), "the counters");
}

uint32_t open_cache(Device& device, uint32_t position_count, uint32_t type) {
  const powerinfer_model_shape& s = device.shape;
  const uint32_t number = free_number(device.caches);
  const uint64_t size_bytes = position_bytes_of(s, type) * position_count * s.kv_head_count * 2 * s.block_count;
  device.caches.reserve(device.caches.size() + 1);
  DeviceMemory memory(*device.budget, size_bytes, "the KV cache");
  if (position_count > device.scratch_positions) {
    const uint64_t floats = attend_scratch_floats(s.row_count_max, s.head_count, s.head_width, position_count);
    check(cudaStreamSynchronize(device.queue()), "finish the batch");
    device.graphs.clear();
    device.attend_scratch = DeviceMemory(*device.budget, floats * sizeof(float), "attention over the KV cache");
    device.scratch_positions = position_count;
  }
  CacheView& view = device.exchange->caches[number - 1];
  view = {memory.bytes(), position_count, type};
  check(cudaMemcpy(device.work.caches + (number - 1), &view, sizeof view, cudaMemcpyHostToDevice), "open a cache");
  device.caches.push_back({number, position_count, type, std::move(memory)});
  return number;
}

void close_cache(Device& device, uint32_t number) {
  cudaStreamSynchronize(device.queue());
  device.row_count = 0;  // a batch may have rows of it
  device.caches.erase(std::remove_if(device.caches.begin(), device.caches.end(), [&](const CudaCache& cache) { return cache.number == number; }), device.caches.end());
}

void wait_for(cudaStream_t stream, const uint32_t* word, uint32_t expected) {
  // Between questions to the driver, which answer what a word in memory cannot: that the device has failed. A question takes a microsecond or so, in which
  // nobody looks at the word; so many pauses take some ten.
  constexpr uint32_t kSpins = 256;
  for (;;) {
    for (uint32_t spin = 0; spin < kSpins; ++spin) {
      if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == expected) return;
      pause();
    }
    const cudaError_t state = cudaStreamQuery(stream);
    if (state == cudaErrorNotReady) {
      cudaGetLastError();  // CUDA remembers it as an error, which the next launch would be blamed for
      continue;
    }
    check(state, "compute the block");
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == expected) return;
    fail(POWERINFER_UNSUPPORTED, "the device has finished without handing over what was asked for");
  }
}

void give_hidden(Device& device, const float* hidden, uint32_t row_count) {
  const uint32_t width = device.shape.hidden_width;
  const DeviceRows& to = device.work.given;
  check(cudaEventSynchronize(device.copied_in->handle), "copy the hidden vectors");
  std::copy(hidden, hidden + uint64_t{row_count} * width, device.exchange->hidden_in);
  check(cudaMemcpy2DAsync(to.values, to.stride * sizeof(float), device.exchange->hidden_in, width * sizeof(float), width * sizeof(float), row_count,
                          cudaMemcpyHostToDevice, device.queue()),
        "copy the hidden vectors");
  check(cudaEventRecord(device.copied_in->handle, device.queue()), "copy the hidden vectors");
}

void give_active(Device& device, const uint32_t* active, uint32_t row_count) {
  const uint64_t count = uint64_t{row_count} * device.words;
  check(cudaEventSynchronize(device.copied_in->handle), "copy the neurons' names");
  std::copy(active, active + count, device.exchange->active_in);
  check(cudaMemcpyAsync(device.work.active, device.exchange->active_in, count * sizeof(uint32_t), cudaMemcpyHostToDevice, device.queue()),
        "copy the neurons' names");
  check(cudaEventRecord(device.copied_in->handle, device.queue()), "copy the neurons' names");
}

}  // namespace powerinfer::cuda
