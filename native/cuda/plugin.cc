// libpowerinfer_cuda as a plugin: a CUDA device behind the table of powerinfer_plugin.h.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "device.h"
#include "measure.h"

namespace powerinfer::cuda {
namespace {

#ifdef POWERINFER_CUDA_SIM
constexpr const char* kName = "cuda-sim";  // never to be taken for a GPU
#else
constexpr const char* kName = "cuda";
#endif

thread_local char last_words[sizeof Failure::state];

powerinfer_status refused(powerinfer_status status, const char* words) {
  std::snprintf(last_words, sizeof last_words, "%s", words);
  return status;
}

template <class Body>
powerinfer_status guarded(Body&& body) noexcept {
  try {
    body();
    return POWERINFER_OK;
  } catch (const Failure& failure) {
    return refused(failure.status, failure.state);
  } catch (const std::bad_alloc&) {
    return refused(POWERINFER_OUT_OF_MEMORY, "no memory is left on the host");
  } catch (const std::exception& error) {
    return refused(POWERINFER_UNSUPPORTED, error.what());
  }
}

// The same on an open device, which is made the thread's own: calls come from any.
template <class Body>
powerinfer_status on_device(void* state, Body&& body) noexcept {
  return guarded([&] {
    Device& device = *static_cast<Device*>(state);
    make_current(device.ordinal);
    body(device);
  });
}

// What is smaller in an older host's header is left out.
template <class Struct>
void fill(Struct& to, const Struct& from) {
  const uint32_t size = to.struct_size;
  std::memcpy(&to, &from, std::min<size_t>(size, sizeof from));
  to.struct_size = size;
}

const powerinfer_backend_kernels kBackend = {
    sizeof(powerinfer_backend_kernels),
    POWERINFER_BACKEND_SELECTS | POWERINFER_BACKEND_HANDS_OVER,
    [](powerinfer_backend_facts* facts) { return guarded([&] { fill(*facts, gpu_facts(0)); }); },
    [](const powerinfer_device_context* context, void** state) { return guarded([&] { *state = new Device(*context); }); },
    [](void* state) {
      cudaSetDevice(static_cast<int>(static_cast<Device*>(state)->ordinal));
      delete static_cast<Device*>(state);
    },
    [](void* state, const powerinfer_tensor* tensor) { return on_device(state, [&](Device& d) { d.weights->bind(*tensor); }); },
    [](void* state, const float* frequencies, uint32_t count) {
      return on_device(state, [&](Device& d) { d.inverse_frequencies.assign(frequencies, frequencies + count); });
    },
    [](void* state) { return on_device(state, [](Device& d) { make_ready(d); }); },
    [](void* state, uint32_t position_count, uint32_t type, uint32_t* cache) {
      return on_device(state, [&](Device& d) { *cache = open_cache(d, position_count, type); });
    },
    [](void* state, uint32_t cache) { on_device(state, [&](Device& d) { close_cache(d, cache); }); },
    [](void* state, const powerinfer_row* rows, uint32_t count) { return on_device(state, [&](Device& d) { embed(d, rows, count); }); },
    [](void* state, uint32_t block, float* hidden) { return on_device(state, [&](Device& d) { attend(d, block, hidden); }); },
    [](void* state, uint32_t block, const float* hidden, uint32_t row_count, float* out) {
      return on_device(state, [&](Device& d) { activations(d, block, hidden, row_count, out); });
    },
    [](void* state, const powerinfer_ffn_call* call) { return on_device(state, [&](Device& d) { ffn(d, *call); }); },
    [](void* state) { return on_device(state, [](Device& d) { wait_ffn(d); }); },
    [](void* state, uint32_t block, const float* partial) { return on_device(state, [&](Device& d) { merge(d, block, partial); }); },
    [](void* state, const uint32_t* rows, uint32_t count, float* out) { return on_device(state, [&](Device& d) { logits(d, rows, count, out); }); },
    [](void* state, powerinfer_counters* out) { return on_device(state, [&](Device& d) { fill(*out, counters(d)); }); },
    [](void* state, const powerinfer_selector* selector) { return on_device(state, [&](Device& d) { d.selectors->prepare(*selector); }); },
    [](void* state, float* hidden) { return on_device(state, [&](Device& d) { read_hidden(d, hidden); }); },
    [](void* state, uint32_t* active) { return on_device(state, [&](Device& d) { read_selected(d, active); }); },
    [](uint32_t index, powerinfer_backend_facts* facts) { return guarded([&] { fill(*facts, gpu_facts(index)); }); },
    [](uint32_t index, powerinfer_backend_speed* speed) { return guarded([&] { fill(*speed, measure_gpu(index)); }); },
};

const powerinfer_plugin kPlugin = {sizeof(powerinfer_plugin),
                                   POWERINFER_PLUGIN_ABI_MAJOR,
                                   POWERINFER_PLUGIN_ABI_MINOR,
                                   0,
                                   kName,
                                   nullptr,
                                   []() -> const char* { return last_words; },
                                   nullptr,
                                   &kBackend};

}  // namespace
}  // namespace powerinfer::cuda

const powerinfer_plugin* powerinfer_plugin_entry(uint32_t, uint32_t) { return &powerinfer::cuda::kPlugin; }
