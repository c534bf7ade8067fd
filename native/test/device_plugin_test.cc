// Goal: a device of a plugin gives the bits that its kernels give, is handed nothing that was not checked, and is named when it fails.
// Method: a plugin that hands every call on to a CPU model (test/plugins/backend.cc), against that model called directly.
#include <cstring>
#include <limits>

#include "../cpu/kernels.h"
#include "test_plugin.h"

namespace powerinfer_test {
namespace {


constexpr uint32_t kWords = 5;  // of 152 neurons

TinyOptions device_options() {
  TinyOptions o{};
  o.shape = small_shape();
  o.matrix_type = powerinfer::F16;
  o.biases = true;
  o.down_by_neuron = true;
  return o;
}

// A device with all tensors of a tiny model, not yet ready; closed with this.
class TestDevice {
 public:
  explicit TestDevice(const TinyModel& tiny, const std::string& library = "backend", uint32_t home = 1) {
    uint32_t plugin = 0, file = 0;
    CHECK_OK(load_plugin(plugin_path(library), &plugin));
    CHECK_OK(powerinfer_device_new(plugin, &tiny.options.shape, home, &handle));
    CHECK_OK(powerinfer_plugin_close(plugin));
    CHECK_OK(powerinfer_file_open(tiny.path.data(), static_cast<uint32_t>(tiny.path.size()), &file));
    for (const Tensor& t : tiny.tensors) {
      if (t.bound) CHECK_OK(powerinfer_device_bind(handle, t.role, t.block, file, static_cast<double>(t.offset_bytes), t.type, t.width, t.rows));
    }
    CHECK_OK(powerinfer_device_rope(handle, tiny.inverse_frequencies.data(), static_cast<uint32_t>(tiny.inverse_frequencies.size())));
    CHECK_OK(powerinfer_file_close(file));  // the mapping lives on
  }
  ~TestDevice() { powerinfer_device_close(handle); }
  TestDevice(const TestDevice&) = delete;

  void fail_in(const std::string& function) const {
    CHECK_OK(powerinfer_device_option(handle, "fails", 5, POWERINFER_OPTION_TEXT, 0, function.data(), static_cast<uint32_t>(function.size())));
  }
  uint32_t open_cache(uint32_t position_count) const {
    uint32_t cache = 0;
    CHECK_OK(powerinfer_device_cache_open(handle, position_count, POWERINFER_CACHE_F16, &cache));
    return cache;
  }

  uint32_t handle = 0;
};

// Logits of the batches, f32[rows, vocabulary_size], with the FFN dense, confirmed, or started and waited for.
std::vector<float> logits_of(const TestDevice& device, const powerinfer_model_shape& s, const std::vector<std::vector<powerinfer_row>>& batches, uint32_t flags) {
  std::vector<float> all;
  for (const std::vector<powerinfer_row>& rows : batches) {
    const uint32_t count = static_cast<uint32_t>(rows.size());
    CHECK_OK(powerinfer_device_embed(device.handle, rows.data(), count));
    for (uint32_t block = 0; block < s.block_count; ++block) {
      CHECK_OK(powerinfer_device_attend(device.handle, block, nullptr));
      CHECK_OK(powerinfer_device_ffn(device.handle, block, nullptr, count, nullptr, flags, nullptr));
      if ((flags & POWERINFER_FFN_START) != 0) {
        CHECK_STATUS(powerinfer_device_merge(device.handle, block, nullptr), POWERINFER_INVALID_ARGUMENT);
        CHECK_OK(powerinfer_device_ffn_wait(device.handle));
      }
      CHECK_OK(powerinfer_device_merge(device.handle, block, nullptr));
    }
    std::vector<uint32_t> wanted(count);
    for (uint32_t i = 0; i < count; ++i) wanted[i] = i;
    std::vector<float> logits(uint64_t{count} * s.vocabulary_size);
    CHECK_OK(powerinfer_device_logits(device.handle, wanted.data(), count, logits.data()));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST("powerinfer_device: the logits of a model called directly, bit for bit (seed 61)") {
  const TinyModel tiny(device_options(), 61);
  const OpenModel open(tiny, 2, 0);
  const powerinfer_model_shape& s = tiny.options.shape;
  for (const uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}, uint32_t{POWERINFER_FFN_START}}) {
    const TestDevice device(tiny);
    CHECK_OK(powerinfer_device_option(device.handle, "threads", 7, POWERINFER_OPTION_NUMBER, 2, nullptr, 0));
    CHECK_OK(powerinfer_device_ready(device.handle));
    CHECK_OK(powerinfer_device_ready(device.handle));
    const uint32_t cache = device.open_cache(8), own = open.open_cache(8, POWERINFER_CACHE_F16);
    const auto rows = [](uint32_t c) { return std::vector<std::vector<powerinfer_row>>{{{5, 0, c}, {6, 1, c}, {7, 2, c}}, {{8, 3, c}}, {{9, 4, c}}}; };
    const std::vector<float> actual = logits_of(device, s, rows(cache), flags);
    std::vector<float> expected;
    for (const std::vector<powerinfer_row>& batch : rows(own)) {
      const std::vector<float> logits = open.run(batch, flags & POWERINFER_FFN_CONFIRM);
      expected.insert(expected.end(), logits.begin(), logits.end());
    }
    CHECK(same_bits(actual, expected));
    powerinfer_counters counters{};
    CHECK_STATUS(powerinfer_device_counters_read(device.handle, &counters), POWERINFER_INVALID_ARGUMENT);
    counters.struct_size = sizeof counters;
    CHECK_OK(powerinfer_device_counters_read(device.handle, &counters));
    CHECK_EQUAL(counters.row_count, 5.0);
    CHECK(counters.weight_bytes > 0);
    CHECK_OK(powerinfer_device_cache_close(device.handle, cache));
    CHECK_OK(powerinfer_cache_close(own));
  }
}

TEST("powerinfer_device: says what attend left and what a predictor named while an FFN is under way (seed 63)") {
  const TinyModel tiny(device_options(), 63);
  const powerinfer_model_shape& s = tiny.options.shape;
  const TestPredictor predictor(s);
  const uint32_t share[kWords] = {0xffff0000u, 0, ~0u, 0x12345678u, 0xffffu};
  const TestDevice device(tiny, "backend_hands_over");
  CHECK_OK(powerinfer_device_share(device.handle, 0, share));
  CHECK_OK(powerinfer_device_ready(device.handle));
  CHECK_STATUS(powerinfer_device_prepare(device.handle, predictor.handle), POWERINFER_INCOMPLETE);
  CHECK_OK(predictor.open());
  CHECK_OK(powerinfer_device_prepare(device.handle, predictor.handle));

  std::vector<float> given(2 * s.hidden_width), read(given.size());
  std::vector<uint32_t> named(2 * kWords);
  CHECK_STATUS(powerinfer_device_hidden(device.handle, read.data()), POWERINFER_INVALID_ARGUMENT);
  const uint32_t cache = device.open_cache(4);
  const powerinfer_row rows[] = {{1, 0, cache}, {2, 1, cache}};
  CHECK_OK(powerinfer_device_embed(device.handle, rows, 2));
  CHECK_OK(powerinfer_device_attend(device.handle, 0, given.data()));
  CHECK_STATUS(powerinfer_device_selected(device.handle, named.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_device_ffn_selected(device.handle, 0, nullptr, 2, predictor.handle, POWERINFER_FFN_START, nullptr));
  CHECK_OK(powerinfer_device_hidden(device.handle, read.data()));
  CHECK(same_bits(read, given));
  CHECK_OK(powerinfer_device_selected(device.handle, named.data()));
  CHECK(named == above(s, given, 2, 0));
  CHECK_OK(powerinfer_device_ffn_wait(device.handle));
  CHECK_OK(powerinfer_device_merge(device.handle, 0, nullptr));
  // The next FFN was asked for by name.
  CHECK_OK(powerinfer_device_ffn(device.handle, 0, nullptr, 2, named.data(), 0, nullptr));
  CHECK_STATUS(powerinfer_device_selected(device.handle, named.data()), POWERINFER_INVALID_ARGUMENT);
}

TEST("powerinfer_device_prepare, _hidden and _selected: UNSUPPORTED where the device has no such function, and named when it fails") {
  const TinyModel tiny(device_options(), 64);
  const TestPredictor predictor(tiny.options.shape);
  CHECK_OK(predictor.open());
  std::vector<float> hidden(tiny.options.shape.hidden_width);
  for (const char* const function : {"prepare", "hidden"}) {
    const TestDevice device(tiny, "backend_hands_over");
    device.fail_in(function);
    CHECK_OK(powerinfer_device_ready(device.handle));
    if (std::strcmp(function, "prepare") == 0) {
      CHECK_STATUS(powerinfer_device_prepare(device.handle, predictor.handle), POWERINFER_UNSUPPORTED);
      CHECK_EQUAL(last_error(), "Cannot prepare the predictor: disguise cannot run threshold");
      continue;
    }
    const powerinfer_row row{1, 0, device.open_cache(4)};
    CHECK_OK(powerinfer_device_embed(device.handle, &row, 1));
    CHECK_OK(powerinfer_device_attend(device.handle, 0, nullptr));
    CHECK_STATUS(powerinfer_device_hidden(device.handle, hidden.data()), POWERINFER_PLUGIN_FAILED);
    CHECK_EQUAL(last_error(), "Cannot read the hidden vectors: disguise failed in hidden: was told to fail in hidden");
  }
}

TEST("powerinfer_device_ffn_selected: the same partial whether the device or the host runs the predictor, within the share (seed 62)") {
  const TinyModel tiny(device_options(), 62);
  const OpenModel open(tiny, 1, 0);
  const powerinfer_model_shape& s = tiny.options.shape;
  const TestPredictor predictor(s);
  CHECK_OK(predictor.option("failing_block", 1));
  CHECK_OK(predictor.open());
  Random random(62);
  std::vector<float> hidden(3 * s.hidden_width);
  for (float& value : hidden) value = random.uniform(-1, 1);
  const uint32_t share[kWords] = {0xffff0000u, 0, ~0u, 0x12345678u, 0xffffu};
  std::vector<uint32_t> active = above(s, hidden, 3, 0), shared = active;
  for (size_t i = 0; i < shared.size(); ++i) shared[i] &= share[i % kWords];
  std::vector<float> expected(hidden.size());
  CHECK_OK(powerinfer_ffn(open.model, 0, hidden.data(), 3, shared.data(), 0, expected.data()));
  for (const char* const library : {"backend", "backend_selects", "backend_shares"}) {
    note(library);
    const TestDevice device(tiny, library, 0);
    CHECK_OK(powerinfer_device_share(device.handle, 0, share));
    CHECK_OK(powerinfer_device_ready(device.handle));
    const auto run = [&](uint32_t block, uint32_t p, uint32_t flags, float* to) {
      return powerinfer_device_ffn_selected(device.handle, block, hidden.data(), 3, p, flags, to);
    };
    std::vector<float> partial(hidden.size(), 7), started(hidden.size(), 7);
    CHECK_OK(powerinfer_device_ffn(device.handle, 0, hidden.data(), 3, active.data(), 0, partial.data()));
    CHECK(same_bits(partial, expected));
    std::fill(partial.begin(), partial.end(), 7);
    CHECK_OK(run(0, predictor.handle, 0, partial.data()));
    CHECK(same_bits(partial, expected));
    CHECK_OK(run(0, predictor.handle, POWERINFER_FFN_START, started.data()));
    CHECK_OK(powerinfer_device_ffn_wait(device.handle));
    CHECK_OK(powerinfer_device_ffn_wait(device.handle));
    CHECK(same_bits(started, expected));
    CHECK_STATUS(run(1, predictor.handle, 0, partial.data()), POWERINFER_PLUGIN_FAILED);
    const std::string words = std::strcmp(library, "backend_selects") == 0 ? "disguise failed in ffn: predictor " + std::to_string(predictor.handle) + " failed here"
                                                                           : "threshold failed in select: this block is cursed";
    CHECK_EQUAL(last_error(), "Cannot run the FFN: " + words);
    CHECK_STATUS(run(0, 0, 0, partial.data()), POWERINFER_INVALID_HANDLE);
    CHECK_STATUS(run(0, predictor.handle, 4, partial.data()), POWERINFER_INVALID_ARGUMENT);
  }
}

TEST("powerinfer_device_ready: whatever the plugin fails in is named, and the device may be mended (seed 63)") {
  const TinyModel tiny(device_options(), 63);
  const TestDevice device(tiny);
  CHECK_STATUS(powerinfer_device_attend(device.handle, 0, nullptr), POWERINFER_INCOMPLETE);
  CHECK_STATUS(powerinfer_device_ffn_wait(device.handle), POWERINFER_INCOMPLETE);
  for (const char* const function : {"open", "rope", "ready"}) {
    device.fail_in(function);
    CHECK_STATUS(powerinfer_device_ready(device.handle), POWERINFER_PLUGIN_FAILED);
    CHECK_EQUAL(last_error(), std::string("Cannot make the device ready: disguise failed in ") + function + ": was told to fail in " + function);
  }
  device.fail_in("bind");
  CHECK_STATUS(powerinfer_device_ready(device.handle), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot make the device ready: disguise failed in bind of token_embedding: was told to fail in bind"));
  device.fail_in("nothing");
  CHECK_OK(powerinfer_device_ready(device.handle));
  const uint32_t share[kWords] = {};
  CHECK_STATUS(powerinfer_device_share(device.handle, 0, share), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_rope(device.handle, tiny.inverse_frequencies.data(), 4), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_option(device.handle, "fails", 5, POWERINFER_OPTION_TEXT, 0, "x", 1), POWERINFER_INVALID_ARGUMENT);
}

TEST("powerinfer_device: a call the plugin fails in is named (seed 64)") {
  const TinyModel tiny(device_options(), 64);
  const powerinfer_model_shape& s = tiny.options.shape;
  for (const std::string function : {"cache_open", "embed", "attend", "activations", "ffn", "ffn_wait", "merge", "logits", "counters"}) {
    const TestDevice device(tiny);
    const uint32_t d = device.handle;
    device.fail_in(function);
    CHECK_OK(powerinfer_device_ready(d));
    std::vector<float> out(s.ffn_width + s.vocabulary_size);
    uint32_t cache = 0;
    const uint32_t first = 0;
    powerinfer_counters counters{};
    counters.struct_size = sizeof counters;
    uint32_t failure_count = 0;
    const auto expect = [&](const char* name, powerinfer_status status) {
      if (function != name) {
        CHECK_OK(status);
        return;
      }
      ++failure_count;
      CHECK_STATUS(status, POWERINFER_PLUGIN_FAILED);
      CHECK(last_error().find("disguise failed in " + function + ": was told to fail in " + function) != std::string::npos);
    };
    note(function);
    expect("cache_open", powerinfer_device_cache_open(d, 4, POWERINFER_CACHE_F16, &cache));
    if (function == "cache_open") continue;
    const powerinfer_row row{1, 0, cache};
    expect("embed", powerinfer_device_embed(d, &row, 1));
    if (function == "embed") {
      CHECK_STATUS(powerinfer_device_attend(d, 0, nullptr), POWERINFER_INVALID_ARGUMENT);  // there is no batch
      continue;
    }
    expect("attend", powerinfer_device_attend(d, 0, nullptr));
    if (function == "attend") continue;
    expect("activations", powerinfer_device_activations(d, 0, nullptr, 1, out.data()));
    expect("ffn", powerinfer_device_ffn(d, 0, nullptr, 1, nullptr, POWERINFER_FFN_START, nullptr));
    expect("ffn_wait", powerinfer_device_ffn_wait(d));
    if (function == "ffn" || function == "ffn_wait") continue;
    expect("merge", powerinfer_device_merge(d, 0, nullptr));
    expect("logits", powerinfer_device_logits(d, &first, 1, out.data()));
    expect("counters", powerinfer_device_counters_read(d, &counters));
    CHECK_EQUAL(failure_count, 1u);
  }
}

TEST("powerinfer_device: arguments out of range and calls out of turn are refused before the plugin sees them (seed 65)") {
  const TinyModel tiny(device_options(), 65);
  const powerinfer_model_shape& s = tiny.options.shape;
  uint32_t plugin = 0, file = 0, out = 5;
  CHECK_OK(load_plugin(plugin_path("backend_shares"), &plugin));
  CHECK_STATUS(powerinfer_device_new(plugin, &s, 1, &out), POWERINFER_UNSUPPORTED);
  CHECK_EQUAL(last_error(), std::string("Cannot make a device: disguise brings no embed, which a home needs"));
  CHECK_STATUS(powerinfer_device_new(plugin, &s, 2, &out), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_new(plugin, nullptr, 0, &out), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_new(plugin, &s, &out), POWERINFER_UNSUPPORTED);
  powerinfer_backend_facts facts{};
  CHECK_STATUS(powerinfer_device_facts(plugin, 0, &facts), POWERINFER_INVALID_ARGUMENT);
  facts.struct_size = sizeof facts;
  CHECK_OK(powerinfer_device_facts(plugin, 0, &facts));
  CHECK_STATUS(powerinfer_device_facts(plugin, 1, &facts), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(std::string(facts.name), std::string("a CPU in disguise"));
  CHECK_EQUAL(facts.memory_available_bytes, 2e9);
  powerinfer_backend_speed speed{};
  CHECK_STATUS(powerinfer_device_measure(plugin, 0, &speed), POWERINFER_INVALID_ARGUMENT);
  speed.struct_size = sizeof speed;
  CHECK_OK(powerinfer_device_measure(plugin, 0, &speed));
  CHECK_STATUS(powerinfer_device_measure(plugin, 1, &speed), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(last_error(), std::string("Cannot measure the device: disguise has no device 1"));
  CHECK_EQUAL(speed.read_bytes_per_second, 3e10);
  CHECK_EQUAL(speed.hand_off_seconds, 2e-5);
  CHECK_OK(powerinfer_plugin_close(plugin));

  const TestDevice device(tiny);
  const uint32_t d = device.handle;
  CHECK_OK(powerinfer_file_open(tiny.path.data(), static_cast<uint32_t>(tiny.path.size()), &file));
  const auto bind = [&](uint32_t role, uint32_t block, double offset, uint32_t type, uint32_t width, uint32_t rows) {
    return powerinfer_device_bind(d, role, block, file, offset, type, width, rows);
  };
  CHECK_STATUS(bind(POWERINFER_UP, 0, 1e9, powerinfer::F16, 48, 152), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 2, 0, powerinfer::F16, 48, 152), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, powerinfer::F16, 152, 48), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, powerinfer::Q8_0, 48, 152), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(bind(POWERINFER_UP, 0, 0, 99, 48, 152), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(bind(POWERINFER_DOWN_REPACKED, 0, 0, powerinfer::F16, 152, 48), POWERINFER_UNSUPPORTED);
  CHECK_STATUS(bind(99, 0, 0, powerinfer::F16, 152, 48), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_file_close(file));
  CHECK_STATUS(powerinfer_device_rope(d, nullptr, 4), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_rope(d, tiny.inverse_frequencies.data(), 3), POWERINFER_INVALID_ARGUMENT);
  const uint32_t beyond[kWords] = {0, 0, 0, 0, 1u << 24};
  CHECK_STATUS(powerinfer_device_share(d, 0, beyond), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_share(d, 2, beyond), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_share(d, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_device_ready(d));

  CHECK_STATUS(powerinfer_device_cache_open(d, 0, 0, &out), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_cache_open(d, 4, 9, &out), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_cache_open(d, 4, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_cache_close(d, 12345), POWERINFER_INVALID_HANDLE);
  CHECK_EQUAL(out, 5u);
  const uint32_t cache = device.open_cache(4), other = device.open_cache(4);
  const auto embed = [&](std::vector<powerinfer_row> rows) { return powerinfer_device_embed(d, rows.data(), static_cast<uint32_t>(rows.size())); };
  std::vector<float> hidden(65 * s.hidden_width), big(s.ffn_width);
  std::vector<uint32_t> active(kWords * 2, 0);
  const uint32_t rows[] = {0, 1, 2};
  CHECK_STATUS(powerinfer_device_attend(d, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(embed({{1, 0, cache}, {2, 0, other}}));
  CHECK_STATUS(powerinfer_device_embed(d, nullptr, 1), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed(std::vector<powerinfer_row>(65)), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{61, 1, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{1, 4, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{1, 2, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{1, 1, cache}, {1, 1, cache}}), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(embed({{1, 0, 12345}}), POWERINFER_INVALID_HANDLE);
  CHECK_STATUS(powerinfer_device_attend(d, 2, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_ffn(d, 0, nullptr, 2, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_device_attend(d, 0, hidden.data()));  // still the first batch
  CHECK_STATUS(powerinfer_device_ffn(d, 2, nullptr, 2, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_ffn(d, 0, nullptr, 1, nullptr, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_ffn(d, 0, hidden.data(), 65, nullptr, 0, hidden.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_ffn(d, 0, nullptr, 2, nullptr, 4, nullptr), POWERINFER_INVALID_ARGUMENT);
  active[9] = 1u << 24;
  CHECK_STATUS(powerinfer_device_ffn(d, 0, nullptr, 2, active.data(), 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_merge(d, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_device_ffn(d, 0, nullptr, 2, nullptr, 0, nullptr));
  CHECK_STATUS(powerinfer_device_merge(d, 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_device_merge(d, 0, nullptr));
  CHECK_STATUS(powerinfer_device_activations(d, 0, nullptr, 2, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_logits(d, nullptr, 1, big.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_logits(d, rows, 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_logits(d, rows, 3, big.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_logits(d, rows + 2, 1, big.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_device_cache_close(d, cache));  // in the middle of its batch
  CHECK_STATUS(powerinfer_device_attend(d, 1, nullptr), POWERINFER_INVALID_ARGUMENT);
}

TEST("powerinfer_device_cache_open: a plugin that gives two caches one number is found out (seed 66)") {
  const TinyModel tiny(device_options(), 66);
  const TestDevice device(tiny);
  device.fail_in("numbers");
  CHECK_OK(powerinfer_device_ready(device.handle));
  uint32_t cache = 0;
  CHECK_OK(powerinfer_device_cache_open(device.handle, 4, 0, &cache));
  CHECK_EQUAL(cache, 7u);
  CHECK_STATUS(powerinfer_device_cache_open(device.handle, 4, 0, &cache), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot open a cache: disguise numbered a cache 7, which is another one"));
}

}  // namespace
}  // namespace powerinfer_test
