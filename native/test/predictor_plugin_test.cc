// Goal: a plugin's kernel is called with what its contract promises, its result means the same as a set given by hand, and its failures name it.
// Method: a plugin in C (test/plugins/predictor.c) whose sets are known, made to misbehave by options; FFNs bit for bit against given sets.
#include <algorithm>
#include <cstring>
#include <functional>

#include "../cpu/kernels.h"
#include "test_plugin.h"

namespace powerinfer_test {
namespace {


constexpr float kThreshold = 0.25f;

// 75 neurons: neither whole words of a set nor whole chunks.
powerinfer_model_shape odd_shape() {
  powerinfer_model_shape s = small_shape();
  s.ffn_width = 75;
  return s;
}

std::vector<float> random_hidden(uint64_t seed, const powerinfer_model_shape& s, uint32_t row_count) {
  Random random(seed);
  std::vector<float> hidden(uint64_t{row_count} * s.hidden_width);
  for (float& value : hidden) value = random.uniform(-1, 1);
  return hidden;
}

TinyOptions sparse_options() {
  TinyOptions o{};
  o.shape = odd_shape();
  o.matrix_type = powerinfer::F16;
  o.down_repacked = true;
  return o;
}

TEST("powerinfer_predictor_select: names what the kernel names, alone and on the threads of a CPU (seed 51)") {
  const powerinfer_model_shape s = odd_shape();
  uint32_t cpu = 0;
  CHECK_OK(powerinfer_cpu_open(2, 0, &cpu));
  for (const double parallel : {0.0, 1.0}) {
    const TestPredictor predictor(s);
    CHECK_OK(predictor.option("threshold", 99));
    CHECK_OK(predictor.option("threshold", kThreshold));  // replaces
    CHECK_OK(predictor.option("parallel", parallel, POWERINFER_OPTION_BOOLEAN));
    CHECK_OK(predictor.open());
    for (const uint32_t rows : {1u, 5u, s.row_count_max}) {
      const std::vector<float> hidden = random_hidden(51, s, rows);
      const std::vector<uint32_t> expected = above(s, hidden, rows, kThreshold);
      for (const uint32_t on : {0u, cpu}) {
        std::vector<uint32_t> active(expected.size(), ~0u);  // what is in it before does not matter
        CHECK_OK(powerinfer_predictor_select(predictor.handle, on, 1, hidden.data(), nullptr, rows, active.data()));
        CHECK(active == expected);
      }
    }
  }
  CHECK_OK(powerinfer_cpu_close(cpu));
}

TEST("powerinfer_predictor_array: the plugin finds its bytes, on a boundary of 64, until it closes (seed 52)") {
  const powerinfer_model_shape s = odd_shape();
  const TestPredictor predictor(s);
  {
    const std::vector<uint32_t> passing = {~0u, 0xf0f0f0f0u, 0x7ffu};
    CHECK_OK(predictor.array("mask", {1, 2}));
    CHECK_OK(predictor.array("mask", passing));
    CHECK_OK(predictor.array("empty", {}));
  }
  CHECK_OK(predictor.option("threshold", -2));
  CHECK_OK(predictor.open());
  std::vector<uint32_t> active(3);
  CHECK_OK(powerinfer_predictor_select(predictor.handle, 0, 0, random_hidden(52, s, 1).data(), nullptr, 1, active.data()));
  CHECK(active == std::vector<uint32_t>({~0u, 0xf0f0f0f0u, 0x7ffu}));
}

TEST("powerinfer_predictor_open: a refusal carries the plugin's words and may be mended (seed 53)") {
  const powerinfer_model_shape s = odd_shape();
  const TestPredictor predictor(s);
  const std::vector<float> hidden = random_hidden(53, s, 1);
  std::vector<uint32_t> active(3, 9);
  double a = -1, b = -1;
  CHECK_STATUS(powerinfer_predictor_select(predictor.handle, 0, 0, hidden.data(), nullptr, 1, active.data()), POWERINFER_INCOMPLETE);
  CHECK_STATUS(powerinfer_predictor_measure(predictor.handle, 0, hidden.data(), 1, 1, &a, &b), POWERINFER_INCOMPLETE);
  CHECK_OK(predictor.text("open_fails", "the moon is full"));
  CHECK_STATUS(predictor.open(), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot open the predictor: threshold failed in open: the moon is full"));
  CHECK_OK(predictor.array("mask", {1}));
  CHECK_OK(predictor.option("open_fails", 0));  // no longer a text
  CHECK_STATUS(predictor.open(), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot open the predictor: threshold failed in open: mask is not one row of words"));
  CHECK_OK(predictor.array("mask", {1, 1, 1}));
  CHECK_OK(predictor.open());
  CHECK_STATUS(predictor.open(), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(predictor.option("threshold", 1), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(predictor.array("mask", {1, 1, 1}), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(powerinfer_predictor_select(predictor.handle, 0, 0, hidden.data(), nullptr, 1, active.data()));

  const TestPredictor silent(s, "silent");
  CHECK_OK(silent.text("open_fails", "said to nobody"));
  CHECK_STATUS(silent.open(), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot open the predictor: threshold failed in open: status -5, and it does not say why"));
}

TEST("predictors: arguments out of range are refused before the plugin sees them (seed 54)") {
  const powerinfer_model_shape s = odd_shape();
  const TestPredictor predictor(s);
  uint32_t plugin = 0, out = 5;
  CHECK_OK(load_plugin(plugin_path("predictor"), &plugin));
  powerinfer_model_shape wrong = s;
  wrong.head_count = 5;
  CHECK_STATUS(powerinfer_predictor_new(plugin, &wrong, &out), POWERINFER_INVALID_ARGUMENT);
  wrong.struct_size = 4;
  CHECK_STATUS(powerinfer_predictor_new(plugin, &wrong, &out), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_new(plugin, nullptr, &out), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_new(plugin, &s, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_device_new(plugin, &s, 0, &out), POWERINFER_UNSUPPORTED);
  CHECK_EQUAL(last_error(), std::string("Cannot make a device: threshold brings no backend"));
  powerinfer_backend_facts facts{};
  facts.struct_size = sizeof facts;
  CHECK_STATUS(powerinfer_device_facts(plugin, 0, &facts), POWERINFER_UNSUPPORTED);
  CHECK_OK(powerinfer_plugin_close(plugin));
  CHECK_EQUAL(out, 5u);

  const uint32_t p = predictor.handle;
  CHECK_STATUS(powerinfer_predictor_option(p, nullptr, 1, 0, 0, nullptr, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_option(p, "a", 0, 0, 0, nullptr, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_option(p, "a\0b", 3, 0, 0, nullptr, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_option(p, "a", 1, 3, 0, nullptr, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_option(p, "a", 1, POWERINFER_OPTION_BOOLEAN, 0.5, nullptr, 0), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_option(p, "a", 1, POWERINFER_OPTION_TEXT, 0, nullptr, 2), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_option(p, "a", 1, POWERINFER_OPTION_TEXT, 0, "a\0b", 3), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_array(p, "a", 1, nullptr, 4), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_array(p, "a", 1, &out, 0.5), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_array(p, "a", 1, &out, 1e15), POWERINFER_OUT_OF_MEMORY);
  CHECK_OK(predictor.open());

  const std::vector<float> hidden = random_hidden(54, s, 1);
  std::vector<uint32_t> active(3, 9);
  double a = -1, b = -1;
  const auto select = [&](uint32_t cpu, uint32_t block, const float* x, uint32_t rows, uint32_t* to) {
    return powerinfer_predictor_select(p, cpu, block, x, nullptr, rows, to);
  };
  CHECK_STATUS(select(p, 0, hidden.data(), 1, active.data()), POWERINFER_INVALID_HANDLE);
  CHECK_STATUS(select(0, 2, hidden.data(), 1, active.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(select(0, 0, nullptr, 1, active.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(select(0, 0, hidden.data(), 0, active.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(select(0, 0, hidden.data(), 65, active.data()), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(select(0, 0, hidden.data(), 1, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_measure(p, 0, hidden.data(), 1, 0, &a, &b), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_measure(p, 0, hidden.data(), 1, 1, nullptr, &b), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_predictor_measure(p, 2, hidden.data(), 1, 1, &a, &b), POWERINFER_INVALID_ARGUMENT);
  CHECK(active == std::vector<uint32_t>({9, 9, 9}));
  CHECK_EQUAL(a, -1.0);
}

TEST("powerinfer_predictor_select: a kernel that fails, or names what is no neuron, is named and leaves an empty set (seed 55)") {
  const powerinfer_model_shape s = odd_shape();
  const std::vector<float> hidden = random_hidden(55, s, 2);
  std::vector<uint32_t> active(6, 9);
  const TestPredictor fails(s), beyond(s), elsewhere(s, "cuda_only");
  CHECK_OK(fails.option("failing_block", 1));
  CHECK_OK(fails.open());
  CHECK_OK(powerinfer_predictor_select(fails.handle, 0, 0, hidden.data(), nullptr, 2, active.data()));
  CHECK_STATUS(powerinfer_predictor_select(fails.handle, 0, 1, hidden.data(), nullptr, 2, active.data()), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot select neurons: threshold failed in select: this block is cursed"));
  CHECK(active == std::vector<uint32_t>(6));
  double a = -1, b = -1;
  CHECK_STATUS(powerinfer_predictor_measure(fails.handle, 1, hidden.data(), 1, 1, &a, &b), POWERINFER_PLUGIN_FAILED);

  CHECK_OK(beyond.option("names_beyond", 1, POWERINFER_OPTION_BOOLEAN));
  CHECK_OK(beyond.open());
  CHECK_STATUS(powerinfer_predictor_select(beyond.handle, 0, 0, hidden.data(), nullptr, 2, active.data()), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot select neurons: threshold named neurons at or above ffn_width 75 for row 1"));
  CHECK(active == std::vector<uint32_t>(6));

  CHECK_OK(elsewhere.open());
  CHECK_STATUS(powerinfer_predictor_select(elsewhere.handle, 0, 0, hidden.data(), nullptr, 2, active.data()), POWERINFER_UNSUPPORTED);
  CHECK_EQUAL(last_error(), std::string("Cannot select neurons: threshold brings no select_cpu"));
}

TEST("powerinfer_ffn_selected: the bits of powerinfer_ffn with the same set, its own hidden or the caller's (seed 56)") {
  const TinyModel tiny(sparse_options(), 56);
  const OpenModel open(tiny, 2, 0);
  const powerinfer_model_shape& s = tiny.options.shape;
  const TestPredictor predictor(s);
  CHECK_OK(predictor.option("threshold", kThreshold));
  CHECK_OK(predictor.option("parallel", 1, POWERINFER_OPTION_BOOLEAN));
  CHECK_OK(predictor.open());
  constexpr uint32_t kRows = 3;
  const uint32_t cache = open.open_cache(8, POWERINFER_CACHE_F32);
  const powerinfer_row rows[kRows] = {{3, 0, cache}, {1, 1, cache}, {4, 2, cache}};
  std::vector<float> hidden(kRows * s.hidden_width);
  CHECK_OK(powerinfer_embed(open.model, rows, kRows));
  CHECK_OK(powerinfer_profile_start(open.model));
  for (uint32_t block = 0; block < s.block_count; ++block) {
    CHECK_OK(powerinfer_attend(open.model, block, hidden.data()));
    const std::vector<uint32_t> active = above(s, hidden, kRows, kThreshold);
    for (const uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
      std::vector<float> expected(hidden.size()), actual(hidden.size(), -1), given(hidden.size(), -1);
      CHECK_OK(powerinfer_ffn(open.model, block, nullptr, kRows, active.data(), flags, expected.data()));
      CHECK_OK(powerinfer_ffn_selected(open.model, block, nullptr, kRows, predictor.handle, flags, actual.data()));
      CHECK_OK(powerinfer_ffn_selected(open.model, block, hidden.data(), kRows, predictor.handle, flags, given.data()));
      CHECK(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(float)) == 0);
      CHECK(actual == given);
    }
    CHECK_OK(powerinfer_ffn_selected(open.model, block, nullptr, kRows, predictor.handle, 0, nullptr));
    CHECK_OK(powerinfer_merge(open.model, block, nullptr));
  }
  powerinfer_stage stage{};
  stage.struct_size = sizeof stage;
  CHECK_OK(powerinfer_profile_read(open.model, POWERINFER_PHASE_PREFILL, POWERINFER_STAGE_SELECT, &stage));
  CHECK_EQUAL(stage.call_count, 5.0 * s.block_count);
  CHECK(stage.seconds > 0);
  CHECK_EQUAL(stage.bytes, 0.0);
  CHECK_OK(powerinfer_cache_close(cache));
}

TEST("powerinfer_ffn_selected: refuses what powerinfer_ffn refuses, and predictors that do not fit (seed 57)") {
  const TinyModel tiny(sparse_options(), 57);
  TinyOptions rows_only = sparse_options();
  rows_only.down_repacked = false;
  const TinyModel by_rows(rows_only, 57);
  const OpenModel open(tiny, 1, 0), dense(by_rows, 1, 0);
  const powerinfer_model_shape& s = tiny.options.shape;
  powerinfer_model_shape narrow = s, few_rows = s;
  narrow.ffn_width = 74;
  few_rows.row_count_max = 2;
  const TestPredictor predictor(s), other(narrow), few(few_rows), closed(s), fails(s);
  CHECK_OK(predictor.open());
  CHECK_OK(other.open());
  CHECK_OK(few.open());
  CHECK_OK(fails.option("failing_block", 0));
  CHECK_OK(fails.open());
  const std::vector<float> hidden = random_hidden(57, s, 3);
  std::vector<float> partial(hidden.size(), 7);
  const auto run = [&](uint32_t model, uint32_t p, uint32_t block, const float* x, uint32_t rows, uint32_t flags, float* to) {
    return powerinfer_ffn_selected(model, block, x, rows, p, flags, to);
  };
  const uint32_t m = open.model, p = predictor.handle;
  const float* const x = hidden.data();
  float* const to = partial.data();
  CHECK_STATUS(run(p, p, 0, x, 3, 0, to), POWERINFER_INVALID_HANDLE);
  CHECK_STATUS(run(m, m, 0, x, 3, 0, to), POWERINFER_INVALID_HANDLE);
  CHECK_STATUS(run(m, p, 2, x, 3, 0, to), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(run(m, p, 0, x, 0, 0, to), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(run(m, p, 0, x, 65, 0, to), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(run(m, p, 0, x, 3, 2, to), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(run(m, p, 0, nullptr, 3, 0, to), POWERINFER_INVALID_ARGUMENT);  // no attend yet
  CHECK_STATUS(run(m, p, 0, x, 3, 0, nullptr), POWERINFER_INVALID_ARGUMENT);   // no batch to keep it for
  CHECK_STATUS(run(m, other.handle, 0, x, 3, 0, to), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(last_error(), std::string("Cannot run the FFN: the predictor is for 2 blocks of 48 and 74 neurons, the model has 2 of 48 and 75"));
  CHECK_STATUS(run(m, few.handle, 0, x, 3, 0, to), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(run(m, closed.handle, 0, x, 3, 0, to), POWERINFER_INCOMPLETE);
  CHECK_STATUS(run(dense.model, p, 0, x, 3, 0, to), POWERINFER_INCOMPLETE);
  CHECK_STATUS(run(m, fails.handle, 0, x, 3, 0, to), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot run the FFN: threshold failed in select: this block is cursed"));
  CHECK(partial == std::vector<float>(partial.size(), 7));
  CHECK_OK(run(m, p, 0, x, 3, 0, to));
}

TEST("powerinfer_predictor_measure: a plugin costs less than a microsecond a call over its kernel (seed 58)") {
  const powerinfer_model_shape s = odd_shape();
  const TestPredictor predictor(s);
  CHECK_OK(predictor.open());
  double kernel_s = 0, call_s = 0;
  CHECK_OK(powerinfer_predictor_measure(predictor.handle, 0, random_hidden(58, s, 1).data(), 1, 20001, &kernel_s, &call_s));
  note(shown(kernel_s * 1e9) + " ns by pointer, " + shown(call_s * 1e9) + " ns through the ABI");
  CHECK(kernel_s > 0);
#if !defined(__SANITIZE_ADDRESS__)
  CHECK(call_s - kernel_s < 1e-6);
#endif
}

}  // namespace
}  // namespace powerinfer_test
