// A backend plugin for tests: a whole device that hands every call on to a CPU model of its own copy of the library.
//
// The text option `fails` names the function that is to fail. Variants by defines: SELECTS runs predictors by itself, HANDS_OVER does too and
// says what attend left and what was named, SHARES_ONLY cannot be a home.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../include/powerinfer_plugin.h"

namespace {

thread_local char why[1024];

powerinfer_status passed_on(powerinfer_status status) {
  if (status != POWERINFER_OK) why[powerinfer_last_error(why, sizeof why - 1)] = '\0';
  return status;
}

struct Device {
  std::string fails;
  powerinfer_model_shape shape;
  const uint32_t* shares;
  uint32_t cpu = 0, model = 0;
  powerinfer_ffn_call started{};  // to be done in ffn_wait
  std::vector<float> hidden;      // what attend left, f32[row_count, hidden_width]
  std::vector<uint32_t> named;    // what the last predictor named, u32[row_count, words]

  // Whether `function` is the one that fails.
  bool told_to_fail(const char* function) const {
    if (fails != function) return false;
    std::snprintf(why, sizeof why, "was told to fail in %s", function);
    return true;
  }
};

Device& of(void* state) { return *static_cast<Device*>(state); }

#define FAIL_IF_TOLD(function) \
  if (of(state).told_to_fail(function)) return POWERINFER_UNSUPPORTED

powerinfer_status facts(powerinfer_backend_facts* facts) {
  facts->memory_bytes = 3e9;
  facts->memory_available_bytes = 2e9;
  std::snprintf(facts->name, sizeof facts->name, "a CPU in disguise");
  return POWERINFER_OK;
}

powerinfer_status measure(uint32_t index, powerinfer_backend_speed* speed) {
  if (index > 0) return POWERINFER_INVALID_ARGUMENT;
  speed->read_bytes_per_second = 3e10;
  speed->hand_off_seconds = 2e-5;
  return POWERINFER_OK;
}

void close_device(void* state) {
  if (of(state).model != 0) powerinfer_model_close(of(state).model);
  if (of(state).cpu != 0) powerinfer_cpu_close(of(state).cpu);
  delete &of(state);
}

powerinfer_status open_device(const powerinfer_device_context* context, void** out) {
  Device* const device = new Device;
  void* const state = device;
  device->fails = powerinfer_option_text(context->plugin, "fails", "");
  device->shape = *context->plugin->shape;
  device->shares = context->shares;
  const uint32_t threads = static_cast<uint32_t>(powerinfer_option_number(context->plugin, "threads", 1));
  powerinfer_status status = device->told_to_fail("open") ? POWERINFER_UNSUPPORTED : passed_on(powerinfer_cpu_open(threads, 0, &device->cpu));
  if (status == POWERINFER_OK) status = passed_on(powerinfer_model_open(device->cpu, &device->shape, &device->model));
  if (status != POWERINFER_OK) close_device(state);
  else *out = state;
  return status;
}

// The library binds files: a tensor becomes one, which stays mapped once its name is gone.
powerinfer_status bind(void* state, const powerinfer_tensor* tensor) {
  FAIL_IF_TOLD("bind");
  char path[] = "/tmp/powerinfer_test_XXXXXX";
  const int descriptor = ::mkstemp(path);
  const size_t size = static_cast<size_t>(tensor->size_bytes);
  uint32_t file = 0;
  const bool written = descriptor >= 0 && ::write(descriptor, tensor->data, size) == static_cast<ssize_t>(size);
  if (descriptor >= 0) ::close(descriptor);
  powerinfer_status status = written ? passed_on(powerinfer_file_open(path, static_cast<uint32_t>(std::strlen(path)), &file)) : POWERINFER_FILE_ERROR;
  ::unlink(path);
  if (status != POWERINFER_OK) return status;
  status = passed_on(powerinfer_model_bind(of(state).model, tensor->role, tensor->block, file, 0, tensor->type, tensor->width, tensor->rows));
  powerinfer_file_close(file);
  return status;
}

powerinfer_status rope(void* state, const float* frequencies, uint32_t count) {
  FAIL_IF_TOLD("rope");
  return passed_on(powerinfer_model_rope(of(state).model, frequencies, count));
}

powerinfer_status ready(void* state) {
  FAIL_IF_TOLD("ready");
  return passed_on(powerinfer_model_ready(of(state).model));
}

powerinfer_status cache_open(void* state, uint32_t position_count, uint32_t cache_type, uint32_t* cache) {
  FAIL_IF_TOLD("cache_open");
  if (of(state).fails == "numbers") return *cache = 7, POWERINFER_OK;  // the same for every cache
  return passed_on(powerinfer_cache_open(of(state).model, position_count, cache_type, cache));
}

void cache_close(void*, uint32_t cache) { powerinfer_cache_close(cache); }

powerinfer_status embed(void* state, const powerinfer_row* rows, uint32_t row_count) {
  FAIL_IF_TOLD("embed");
  of(state).hidden.resize(uint64_t{row_count} * of(state).shape.hidden_width);
  return passed_on(powerinfer_embed(of(state).model, rows, row_count));
}

powerinfer_status attend(void* state, uint32_t block, float* hidden) {
  FAIL_IF_TOLD("attend");
  std::vector<float>& kept = of(state).hidden;
  const powerinfer_status status = passed_on(powerinfer_attend(of(state).model, block, kept.data()));
  if (status == POWERINFER_OK && hidden != nullptr) std::copy(kept.begin(), kept.end(), hidden);
  return status;
}

powerinfer_status prepare(void* state, const powerinfer_selector* selector) {
  FAIL_IF_TOLD("prepare");
  return selector->context != nullptr && std::strcmp(selector->name, "threshold") == 0 ? POWERINFER_OK : POWERINFER_INVALID_ARGUMENT;
}

powerinfer_status read_hidden(void* state, float* hidden) {
  FAIL_IF_TOLD("hidden");
  std::copy(of(state).hidden.begin(), of(state).hidden.end(), hidden);
  return POWERINFER_OK;
}

powerinfer_status read_selected(void* state, uint32_t* active) {
  FAIL_IF_TOLD("selected");
  std::copy(of(state).named.begin(), of(state).named.end(), active);
  return POWERINFER_OK;
}

powerinfer_status activations(void* state, uint32_t block, const float* hidden, uint32_t row_count, float* out) {
  FAIL_IF_TOLD("activations");
  return passed_on(powerinfer_activations(of(state).model, block, hidden, row_count, out));
}

void in_caller(void*, uint32_t chunk_count, powerinfer_task task, void* context) {
  for (uint32_t chunk = 0; chunk < chunk_count; ++chunk) task(context, chunk, 0);
}

// Names what a predictor does: `named`, of every share.
powerinfer_status select(Device& device, const powerinfer_ffn_call& call) {
  const uint32_t words = (device.shape.ffn_width + 31) / 32;
  device.named.assign(uint64_t{call.row_count} * words, 0);
  const float* const hidden = call.hidden == nullptr ? device.hidden.data() : call.hidden;
  const powerinfer_select select{sizeof select, call.block, call.row_count, device.shape.hidden_width, device.shape.ffn_width, words, hidden,
                                 device.named.data(), nullptr, in_caller, 1, 0, nullptr};
  const powerinfer_status status = call.selector->kernels->select_cpu(call.selector->state, &select);
  if (status != POWERINFER_OK) std::snprintf(why, sizeof why, "predictor %u failed here", call.selector->predictor);
  return status;
}

// `named`, of the device's share.
std::vector<uint32_t> within_share(const Device& device, uint32_t block) {
  std::vector<uint32_t> active = device.named;
  const uint32_t words = (device.shape.ffn_width + 31) / 32;
  for (uint64_t i = 0; device.shares != nullptr && i < active.size(); ++i) active[i] &= device.shares[block * words + i % words];
  return active;
}

powerinfer_status run(Device& device, const powerinfer_ffn_call& call, const uint32_t* active) {
  const uint32_t flags = call.flags & ~uint32_t{POWERINFER_FFN_START};
  std::vector<uint32_t> share;
  if (active == nullptr && device.shares != nullptr) {  // every neuron of the share
    const uint32_t words = (device.shape.ffn_width + 31) / 32;
    const uint32_t* const of_block = device.shares + call.block * words;
    for (uint32_t row = 0; row < call.row_count; ++row) share.insert(share.end(), of_block, of_block + words);
    active = share.data();
  }
  return passed_on(powerinfer_ffn(device.model, call.block, call.hidden, call.row_count, active, flags, call.partial));
}

powerinfer_status ffn(void* state, const powerinfer_ffn_call* call) {
  FAIL_IF_TOLD("ffn");
  Device& device = of(state);
  if (call->selector != nullptr) {
    if (select(device, *call) != POWERINFER_OK) return POWERINFER_UNSUPPORTED;
    return run(device, *call, within_share(device, call->block).data());
  }
  if ((call->flags & POWERINFER_FFN_START) == 0) return run(device, *call, call->active);
  device.started = *call;
  return POWERINFER_OK;
}

powerinfer_status ffn_wait(void* state) {
  FAIL_IF_TOLD("ffn_wait");
  return of(state).started.struct_size == 0 ? POWERINFER_OK : run(of(state), of(state).started, of(state).started.active);
}

powerinfer_status merge(void* state, uint32_t block, const float* partial) {
  FAIL_IF_TOLD("merge");
  return passed_on(powerinfer_merge(of(state).model, block, partial));
}

powerinfer_status logits(void* state, const uint32_t* rows, uint32_t count, float* out) {
  FAIL_IF_TOLD("logits");
  return passed_on(powerinfer_logits(of(state).model, rows, count, out));
}

powerinfer_status counters(void* state, powerinfer_counters* out) {
  FAIL_IF_TOLD("counters");
  return passed_on(powerinfer_counters_read(of(state).model, out));
}

#if defined(HANDS_OVER)
constexpr uint32_t kFlags = POWERINFER_BACKEND_SELECTS | POWERINFER_BACKEND_HANDS_OVER;
#elif defined(SELECTS)
constexpr uint32_t kFlags = POWERINFER_BACKEND_SELECTS;
#else
constexpr uint32_t kFlags = 0;
#endif
#if defined(SHARES_ONLY)
constexpr bool kHome = false;
#else
constexpr bool kHome = true;
#endif

const powerinfer_backend_kernels kernels = {sizeof kernels, kFlags, facts, open_device, close_device, bind, rope, ready, cache_open, cache_close,
                                            kHome ? embed : nullptr, attend, activations, ffn, ffn_wait, merge, logits, counters, prepare, read_hidden,
                                            read_selected, nullptr, measure};

const powerinfer_plugin table = {sizeof table, POWERINFER_PLUGIN_ABI_MAJOR, POWERINFER_PLUGIN_ABI_MINOR, 0, "disguise", nullptr,
                                 []() -> const char* { return why; }, nullptr, &kernels};

}  // namespace

const powerinfer_plugin* powerinfer_plugin_entry(uint32_t, uint32_t) { return &table; }
