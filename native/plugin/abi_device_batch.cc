// The ABI of a batch on a plugin's device: embed, attend, ffn, merge, logits. What the plugin may rely on is checked here.
#include <algorithm>

#include "../cpu/batch_checks.h"
#include "abi_plugin.h"

using namespace powerinfer;

namespace {

// Runs body(device, library) with the device locked, once its handle is good and it is ready.
template <class Body>
powerinfer_status beside_ffn(const char* action, uint32_t handle, Body&& body) {
  return guarded(action, [&] {
    const std::shared_ptr<Device> device = devices().get(handle);
    const std::lock_guard<std::mutex> lock(device->busy);
    check_ready(*device);
    body(*device, *device->library);
  });
}

// The same, and no FFN is under way.
template <class Body>
powerinfer_status on_device(const char* action, uint32_t handle, Body&& body) {
  return beside_ffn(action, handle, [&](Device& device, const PluginLibrary& library) {
    if (device.ffn_started) fail(POWERINFER_INVALID_ARGUMENT, "an FFN was started; call powerinfer_device_ffn_wait");
    body(device, library);
  });
}

bool selects(const PluginLibrary& library) { return (library.backend.flags & POWERINFER_BACKEND_SELECTS) != 0; }

powerinfer_selector selector_of(uint32_t handle, const Predictor& predictor) {
  return {sizeof(powerinfer_selector),    handle, &predictor.library->predictor, predictor.state, predictor.library->name.c_str(),
          &predictor.settings.fixed()};
}

void check_rows(Device& d, const powerinfer_row* rows, uint32_t row_count) {
  check_row_count(d.shape, row_count);
  for (uint32_t i = 0; i < row_count; ++i) {
    check_row(d.shape, rows[i], cache_of(d, rows[i].cache).position_count, i);
    d.keys[i] = position_key(rows[i]);
  }
  check_positions(d.keys.data(), row_count, [&](uint32_t cache) { return cache_of(d, cache).filled_count; });
}

constexpr uint32_t kFlags = POWERINFER_FFN_CONFIRM | POWERINFER_FFN_START;

void check_ffn(const Device& d, uint32_t block, const float* hidden, uint32_t row_count, uint32_t flags, const float* partial) {
  check_block(d.shape, block);
  if ((flags & ~kFlags) != 0) fail(POWERINFER_INVALID_ARGUMENT, "flags is %u; only POWERINFER_FFN_CONFIRM and _START are known", flags);
  check_input(d.shape, d.batch, hidden, row_count);
  check_partial(d.batch, partial, row_count);
}

// The named neurons that are in the device's share: `active` itself, or the device's copy.
const uint32_t* within_share(const Device& d, uint32_t block, const uint32_t* active, uint32_t row_count) {
  if (active == nullptr || d.shares.empty()) return active;
  const uint64_t words = words_of(d.shape);
  const uint32_t* const share = &d.shares[block * words];
  for (uint32_t row = 0; row < row_count; ++row) {
    for (uint64_t word = 0; word < words; ++word) d.active[row * words + word] = active[row * words + word] & share[word];
  }
  return d.active.get();
}

// Calls the plugin with arguments that were checked.
void run_ffn(Device& d, powerinfer_ffn_call call) {
  const powerinfer_backend_kernels& kernels = d.library->backend;
  if (kernels.ffn_wait == nullptr) call.flags &= ~uint32_t{POWERINFER_FFN_START};
  d.selected_row_count = 0;
  d.batch.partial_block = call.partial == nullptr ? BatchProgress::kNone : d.batch.partial_block;  // whatever comes of it, the last is gone
  d.library->check(kernels.ffn(d.state, &call), "ffn");
  d.ffn_started = (call.flags & POWERINFER_FFN_START) != 0;
  if (call.partial == nullptr) d.batch.partial_block = call.block;
}

}  // namespace

powerinfer_status powerinfer_device_embed(uint32_t device, const powerinfer_row* rows, uint32_t row_count) {
  return on_device("embed", device, [&](Device& d, const PluginLibrary& library) {
    const powerinfer_row& first = required(rows, "rows");
    check_rows(d, rows, row_count);
    d.batch = BatchProgress{};  // if the plugin fails, there is none
    library.check(library.required(library.backend.embed, "embed")(d.state, &first, row_count), "embed");
    for (uint32_t i = 0; i < row_count; ++i) {
      DeviceCache& cache = cache_of(d, rows[i].cache);
      cache.filled_count = std::max(cache.filled_count, rows[i].position + 1);
      d.batch_caches[i] = rows[i].cache;
    }
    d.batch.row_count = row_count;
  });
}

powerinfer_status powerinfer_device_attend(uint32_t device, uint32_t block, float* hidden) {
  return on_device("attend", device, [&](Device& d, const PluginLibrary& library) {
    check_block(d.shape, block);
    check_begun(d.batch);
    library.check(library.required(library.backend.attend, "attend")(d.state, block, hidden), "attend");
    d.batch.attended = true;
  });
}

powerinfer_status powerinfer_device_activations(uint32_t device, uint32_t block, const float* hidden, uint32_t row_count, float* activations) {
  return on_device("read the activations", device, [&](Device& d, const PluginLibrary& library) {
    check_block(d.shape, block);
    check_input(d.shape, d.batch, hidden, row_count);
    float& out = required(activations, "activations");
    library.check(library.required(library.backend.activations, "activations")(d.state, block, hidden, row_count, &out), "activations");
  });
}

powerinfer_status powerinfer_device_ffn(uint32_t device, uint32_t block, const float* hidden, uint32_t row_count, const uint32_t* active, uint32_t flags,
                                        float* partial) {
  return on_device("run the FFN", device, [&](Device& d, const PluginLibrary&) {
    check_ffn(d, block, hidden, row_count, flags, partial);
    check_active(d.shape, active, row_count);
    run_ffn(d, {sizeof(powerinfer_ffn_call), block, row_count, flags, hidden, within_share(d, block, active, row_count), partial, nullptr});
  });
}

powerinfer_status powerinfer_device_ffn_selected(uint32_t device, uint32_t block, const float* hidden, uint32_t row_count, uint32_t predictor,
                                                 uint32_t flags, float* partial) {
  return on_device("run the FFN", device, [&](Device& d, const PluginLibrary& library) {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::lock_guard<std::mutex> lock(p->busy);
    check_ffn(d, block, hidden, row_count, flags, partial);
    check_predicts(*p, d.shape);
    check_select(*p, block, row_count);
    if (selects(library)) {
      const powerinfer_selector selector = selector_of(predictor, *p);
      run_ffn(d, {sizeof(powerinfer_ffn_call), block, row_count, flags, hidden, nullptr, partial, &selector});
      d.selected_row_count = row_count;
      return;
    }
    if (hidden == nullptr) fail(POWERINFER_INVALID_ARGUMENT, "hidden is NULL and %s runs no predictors; give hidden", library.name.c_str());
    select(*p, nullptr, block, {hidden, nullptr, row_count}, d.active.get());
    const uint32_t* const active = within_share(d, block, d.active.get(), row_count);
    run_ffn(d, {sizeof(powerinfer_ffn_call), block, row_count, flags, hidden, active, partial, nullptr});
  });
}

powerinfer_status powerinfer_device_hidden(uint32_t device, float* hidden) {
  return beside_ffn("read the hidden vectors", device, [&](Device& d, const PluginLibrary& library) {
    float& out = required(hidden, "hidden");
    if (!d.batch.attended) fail(POWERINFER_INVALID_ARGUMENT, "no attend went before; call powerinfer_device_attend");
    library.check(library.required(library.backend.hidden, "hidden")(d.state, &out), "hidden");
  });
}

powerinfer_status powerinfer_device_prepare(uint32_t device, uint32_t predictor) {
  return on_device("prepare the predictor", device, [&](Device& d, const PluginLibrary& library) {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::lock_guard<std::mutex> lock(p->busy);
    if (!p->opened) fail(POWERINFER_INCOMPLETE, "the predictor is not open; call powerinfer_predictor_open");
    check_predicts(*p, d.shape);
    if (!selects(library) || library.backend.prepare == nullptr) return;
    const powerinfer_selector selector = selector_of(predictor, *p);
    const powerinfer_status status = library.backend.prepare(d.state, &selector);
    if (status == POWERINFER_UNSUPPORTED) fail(status, "%s cannot run %s", library.name.c_str(), p->library->name.c_str());
    library.check(status, "prepare");
  });
}

powerinfer_status powerinfer_device_selected(uint32_t device, uint32_t* active) {
  return beside_ffn("read the selection", device, [&](Device& d, const PluginLibrary& library) {
    uint32_t& out = required(active, "active");
    if (d.selected_row_count == 0) fail(POWERINFER_INVALID_ARGUMENT, "no predictor has selected; call powerinfer_device_ffn_selected");
    library.check(library.required(library.backend.selected, "selected")(d.state, &out), "selected");
    const uint32_t row = row_beyond(d.shape, &out, d.selected_row_count);
    if (row < d.selected_row_count) {
      fail(POWERINFER_PLUGIN_FAILED, "%s named neurons at or above ffn_width %u for row %u", library.name.c_str(), d.shape.ffn_width, row);
    }
  });
}

powerinfer_status powerinfer_device_ffn_wait(uint32_t device) {
  return beside_ffn("wait for the FFN", device, [&](Device& d, const PluginLibrary& library) {
    if (!d.ffn_started) return;
    d.ffn_started = false;
    library.check(library.backend.ffn_wait(d.state), "ffn_wait");
  });
}

powerinfer_status powerinfer_device_merge(uint32_t device, uint32_t block, const float* partial) {
  return on_device("merge", device, [&](Device& d, const PluginLibrary& library) {
    check_block(d.shape, block);
    check_begun(d.batch);
    if (partial == nullptr) {
      check_kept(d.batch, block);
      d.batch.partial_block = BatchProgress::kNone;
    }
    library.check(library.required(library.backend.merge, "merge")(d.state, block, partial), "merge");
  });
}

powerinfer_status powerinfer_device_logits(uint32_t device, const uint32_t* rows, uint32_t count, float* logits) {
  return on_device("make logits", device, [&](Device& d, const PluginLibrary& library) {
    check_begun(d.batch);
    const uint32_t& first = required(rows, "rows");
    float& out = required(logits, "logits");
    check_logit_rows(d.batch, rows, count);
    library.check(library.required(library.backend.logits, "logits")(d.state, &first, count, &out), "logits");
  });
}

powerinfer_status powerinfer_device_counters_read(uint32_t device, powerinfer_counters* counters) {
  return on_device("read the counters", device, [&](Device& d, const PluginLibrary& library) {
    powerinfer_counters& out = required_struct(counters, "counters");
    powerinfer_counters counted{};
    counted.struct_size = sizeof counted;
    if (library.backend.counters != nullptr) library.check(library.backend.counters(d.state, &counted), "counters");
    counted.struct_size = sizeof counted;
    out = counted;
  });
}
