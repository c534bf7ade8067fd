// Goal: a whole forward pass on the device is the model's, alone, as the home of a divided model, and as the holder of a share; and memory is kept to.
// Method: tiny models against the double-precision oracle and against the CPU's kernels, in batches that take every path: few rows, many, one recorded.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "../../cpu/kernels.h"
#include "../../test/forward_oracle.h"
#include "device_weights.h"
#include "device_array.h"
#include "test_device.h"

namespace powerinfer_test {
namespace {

using powerinfer::cuda::Device;

TinyOptions options_of(uint32_t type) {
  TinyOptions o{};
  o.shape = small_shape();
  o.matrix_type = type;
  o.shape.row_count_max = 16;
  o.shape.head_count = o.shape.kv_head_count * 4;  // 8 heads of 8
  o.shape.hidden_width = 64;
  o.shape.ffn_width = 160;
  return o;
}

// Batches of 5, 12 and single rows of one cache.
std::vector<std::vector<powerinfer_row>> batches_of(const std::vector<uint32_t>& tokens, uint32_t cache) {
  std::vector<std::vector<powerinfer_row>> batches;
  uint32_t at = 0;
  for (const uint32_t count : {5u, 12u, 1u, 1u, 1u}) {
    std::vector<powerinfer_row> rows;
    for (uint32_t i = 0; i < count; ++i, ++at) rows.push_back({tokens[at], at, cache});
    batches.push_back(rows);
  }
  return batches;
}
constexpr uint32_t kTokenCount = 20;

template <class Run>
std::vector<float> logits_of(const std::vector<uint32_t>& tokens, uint32_t cache, Run&& run) {
  std::vector<float> all;
  for (const std::vector<powerinfer_row>& rows : batches_of(tokens, cache)) {
    const std::vector<float> logits = run(rows);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

// Root mean square distance, in standard deviations of the expected logits.
template <class Expected>
double distance(const std::vector<float>& actual, const Expected& expected) {
  double square = 0, spread = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    square += (actual[i] - expected[i]) * static_cast<double>(actual[i] - expected[i]);
    spread += static_cast<double>(expected[i]) * expected[i];
  }
  return std::sqrt(square / spread);
}

Doubles oracle_logits(const TinyModel& tiny, const std::vector<uint32_t>& tokens) {
  Oracle oracle(tiny, POWERINFER_CACHE_F32);
  oracle.rounds = false;
  Doubles logits;
  for (const uint32_t token : tokens) {
    const Doubles row = oracle.step(token);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

// Every third neuron, and all of the first word.
Shares some_share(const powerinfer_model_shape& s, bool rest) {
  const uint32_t words = (s.ffn_width + 31) / 32;
  Shares shares(s.block_count * words);
  for (uint32_t block = 0; block < s.block_count; ++block)
    for (uint32_t n = 0; n < s.ffn_width; ++n) {
      const bool first = n < 32 || n % 3 == 0;
      if (first != rest) shares[block * words + n / 32] |= 1u << n % 32;
    }
  return shares;
}

}  // namespace

TEST("a CUDA device: the logits of the oracle, of every type and of every architecture (seed 81)") {
  // The kernels of every type have tests of their own, and an architecture is the same in all: what is not here brings nothing that is new together.
  using powerinfer::F32, powerinfer::F16, powerinfer::BF16, powerinfer::Q8_0, powerinfer::Q4_0;
  const std::pair<uint32_t, std::vector<uint32_t>> combinations[] = {{F32, {1}}, {F16, {0, 1, 2}}, {BF16, {2}}, {Q8_0, {0}}, {Q4_0, {1}}};
  for (const auto& [type, variants] : combinations) {
    if (std::find(std::begin(kDeviceTypes), std::end(kDeviceTypes), type) == std::end(kDeviceTypes)) continue;
    for (const uint32_t variant : variants) {
      note("type " + std::to_string(type) + ", variant " + std::to_string(variant));
      Random random(81 + variant);
      TinyOptions o = options_of(type);
      if (variant == 1) {  // falcon
        o.shape.parallel = 1;
        o.shape.norm = POWERINFER_NORM_LAYER;
        o.shape.gated = 0;
        o.shape.gate_activation = POWERINFER_ACTIVATION_IDENTITY;
        o.shape.up_activation = POWERINFER_ACTIVATION_RELU;
        o.shape.rope = POWERINFER_ROPE_HALVES;
      } else if (variant == 2) {  // opt, with the norms of heads that qwen3 has
        o.shape.rope = POWERINFER_ROPE_NONE;
        o.shape.rope_width = 0;
        o.learned_positions = o.biases = o.head_norms = o.tied = true;
        o.shape.position_offset = 2;
      }
      const TinyModel tiny(o, 81 + variant);
      const std::vector<uint32_t> tokens = random_tokens(random, kTokenCount, o.shape.vocabulary_size);
      const TestDevice device(tiny, true);
      make_ready(device.device());
      const uint32_t cache = open_cache(device.device(), kTokenCount, POWERINFER_CACHE_F32);
      for (const uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
        const std::vector<float> logits = logits_of(tokens, cache, [&](const auto& rows) {
          return device.run(rows, [&](uint32_t block, uint32_t count) { ffn(device.device(), device.call(block, count, flags)); });
        });
        CHECK(distance(logits, oracle_logits(tiny, tokens)) < 2e-5);
        close_cache(device.device(), cache);
        CHECK_EQUAL(open_cache(device.device(), kTokenCount, POWERINFER_CACHE_F32), cache);
      }
    }
  }
}

TEST("a CUDA device and the CPU: together the logits of the CPU alone, at work at once (seed 82)") {
  TinyOptions o = options_of(powerinfer::F16);
  o.biases = o.down_by_neuron = true;
  const TinyModel tiny(o, 82);
  const powerinfer_model_shape& s = o.shape;
  Random random(82);
  const std::vector<uint32_t> tokens = random_tokens(random, kTokenCount, s.vocabulary_size);
  const OpenModel open(tiny, 1, POWERINFER_ISA_SCALAR);
  const Shares cold = some_share(s, true);
  const uint32_t words = (s.ffn_width + 31) / 32;
  for (const uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
    const uint32_t own = open.open_cache(kTokenCount, POWERINFER_CACHE_F32);
    const std::vector<float> expected = logits_of(tokens, own, [&](const auto& rows) { return open.run(rows, flags); });
    CHECK_OK(powerinfer_cache_close(own));

    const TestDevice device(tiny, true, some_share(s, false));
    make_ready(device.device());
    const uint32_t cache = open_cache(device.device(), kTokenCount, POWERINFER_CACHE_F32);
    const std::vector<float> actual = logits_of(tokens, cache, [&](const auto& rows) {
      return device.run(rows, [&](uint32_t block, uint32_t count) {
        ffn(device.device(), device.call(block, count, flags | POWERINFER_FFN_START));
        std::vector<float> hidden(uint64_t{count} * s.hidden_width), partial(hidden.size());
        read_hidden(device.device(), hidden.data());
        std::vector<uint32_t> active;
        for (uint32_t row = 0; row < count; ++row) active.insert(active.end(), &cold[block * words], &cold[block * words] + words);
        CHECK_OK(powerinfer_ffn(open.model, block, hidden.data(), count, active.data(), flags, partial.data()));
        wait_ffn(device.device());
        merge(device.device(), block, nullptr);
        merge(device.device(), block, partial.data());
      });
    });
    CHECK(distance(actual, expected) < 2e-5);
  }
}

TEST("a CUDA device that is no home: the partial sums of the CPU, of named neurons within its share (seed 83)") {
  TinyOptions o = options_of(powerinfer::F16);
  o.down_by_neuron = true;
  const TinyModel tiny(o, 83);
  const powerinfer_model_shape& s = o.shape;
  Random random(83);
  const OpenModel open(tiny, 1, POWERINFER_ISA_SCALAR);
  const Shares share = some_share(s, false);
  const uint32_t words = (s.ffn_width + 31) / 32;
  const TestDevice device(tiny, false, share);
  make_ready(device.device());
  for (const uint32_t count : {1u, 3u, 12u, 1u}) {
    std::vector<float> hidden(uint64_t{count} * s.hidden_width);
    for (float& value : hidden) value = random.uniform(-1, 1);
    std::vector<uint32_t> active(count * words);
    for (uint32_t i = 0; i < active.size(); ++i) active[i] = static_cast<uint32_t>(random.bits()) & share[i % words];
    std::vector<float> expected(hidden.size()), actual(hidden.size(), 7);
    CHECK_OK(powerinfer_ffn(open.model, 1, hidden.data(), count, active.data(), POWERINFER_FFN_CONFIRM, expected.data()));
    powerinfer_ffn_call call = device.call(1, count, POWERINFER_FFN_CONFIRM | POWERINFER_FFN_START);
    call.hidden = hidden.data();
    call.active = active.data();
    call.partial = actual.data();
    ffn(device.device(), call);
    CHECK_EQUAL(actual[0], 7.0f);
    wait_ffn(device.device());
    CHECK(distance(actual, expected) < 2e-5);
  }
}

TEST("a CUDA device counts what the CPU counts (seed 84)") {
  TinyOptions o = options_of(powerinfer::F16);
  o.down_by_neuron = true;
  const TinyModel tiny(o, 84);
  Random random(84);
  const std::vector<uint32_t> tokens = random_tokens(random, kTokenCount, o.shape.vocabulary_size);
  for (const uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
    const OpenModel open(tiny, 1, POWERINFER_ISA_SCALAR);
    const uint32_t own = open.open_cache(kTokenCount, POWERINFER_CACHE_F16);
    const TestDevice device(tiny, true);
    make_ready(device.device());
    const uint32_t cache = open_cache(device.device(), kTokenCount, POWERINFER_CACHE_F16);
    for (uint32_t at = 0; at < 6; ++at) {
      open.run({{tokens[at], at, own}}, flags);
      device.run({{tokens[at], at, cache}}, [&](uint32_t block, uint32_t count) { ffn(device.device(), device.call(block, count, flags)); });
    }
    const powerinfer_counters expected = open.counters(), actual = counters(device.device());
    CHECK_EQUAL(actual.row_count, expected.row_count);
    CHECK_EQUAL(actual.cache_bytes, expected.cache_bytes);
    CHECK_EQUAL(actual.neuron_count, expected.neuron_count);
    CHECK_EQUAL(actual.neuron_computed_count, expected.neuron_computed_count);
    // Where most of a chunk's gates fire, the CPU reads all of up rather than most of it.
    if (flags == 0) CHECK_EQUAL(actual.weight_bytes, expected.weight_bytes);
    else CHECK(actual.weight_bytes <= expected.weight_bytes && actual.weight_bytes > 0.9 * expected.weight_bytes);
    CHECK_OK(powerinfer_cache_close(own));
  }
}

TEST("a CUDA device keeps to its budget, and gives everything back when it does not fit (seed 85)") {
#ifdef POWERINFER_CUDA_SIM
  constexpr double kOfOthers = 0;
#else
  constexpr double kOfOthers = 32 << 20;  // what the driver takes for streams and kernels when they are first used, and other programs meanwhile
#endif
  const TinyModel tiny(options_of(powerinfer::F16), 85);
  const auto free_bytes = [] { return powerinfer::cuda::gpu_facts(0).memory_available_bytes; };
  const double before = free_bytes();
  uint64_t needed = 0;
  {
    const TestDevice device(tiny, true);
    make_ready(device.device());
    needed = device->budget->used_bytes();
    CHECK_NEAR(before - free_bytes(), static_cast<double>(needed), 0.02 * static_cast<double>(needed) + (4 << 20) + kOfOthers);
  }
  CHECK_NEAR(free_bytes(), before, kOfOthers);
  {
    const TestDevice device(tiny, true, {}, static_cast<double>(needed));
    make_ready(device.device());
    const powerinfer::Failure failure = failure_of([&] { open_cache(device.device(), 64, POWERINFER_CACHE_F16); });
    CHECK_EQUAL(failure.status, powerinfer_status{POWERINFER_OUT_OF_MEMORY});
    CHECK(std::string(failure.state).find("lower --ctx") != std::string::npos);
    CHECK_EQUAL(device->budget->used_bytes(), needed);
  }
  const TestDevice small(tiny, true, {}, static_cast<double>(needed - 1));
  CHECK_EQUAL(failure_of([&] { make_ready(small.device()); }).status, powerinfer_status{POWERINFER_OUT_OF_MEMORY});
  const powerinfer::Failure beyond = failure_of([&] { TestDevice(tiny, true, {}, 1e18); });
  CHECK_EQUAL(beyond.status, powerinfer_status{POWERINFER_OUT_OF_MEMORY});
  CHECK(std::string(beyond.state).find("lower --vram-budget") != std::string::npos);
}

TEST("what a second CUDA device is, is asked of it alone: no context is made on another") {
  if (powerinfer::cuda::gpu_count() < 2) return skip("one device; set CUDA_SIM_DEVICES=2");
  require(cudaSetDevice(0));
  powerinfer::cuda::gpu_facts(1);
  int current = 0;
  require(cudaGetDevice(&current));
  CHECK_EQUAL(current, 1);  // cudaSetDevice makes a context of whatever it is given
  require(cudaSetDevice(0));
}

TEST("a CUDA device refuses what it has no kernels for, and says what is missing (seed 86)") {
  TinyOptions odd = options_of(powerinfer::F16);
  odd.shape.head_count = odd.shape.kv_head_count = 4;
  odd.shape.head_width = odd.shape.rope_width = 20;
  const TinyModel narrow(odd, 86);
  CHECK_EQUAL(failure_of([&] { TestDevice(narrow, true); }).status, powerinfer_status{POWERINFER_UNSUPPORTED});
  const TinyModel other_type(options_of(powerinfer::Q5_0), 86);
  const powerinfer::Failure type = failure_of([&] { TestDevice(other_type, true); });
  CHECK_EQUAL(type.status, powerinfer_status{POWERINFER_UNSUPPORTED});
  const TinyModel tiny(options_of(powerinfer::F16), 86);
  const TestDevice device(tiny, true);
  device->inverse_frequencies.clear();
  CHECK_EQUAL(failure_of([&] { make_ready(device.device()); }).status, powerinfer_status{POWERINFER_INCOMPLETE});
}

}  // namespace powerinfer_test
