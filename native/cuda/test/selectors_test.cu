// Goal: predictors on the device name what they name on the CPU, for the device's share and, handed over, for the others.
// Method: low_rank and sign_bits with random weights, beside the library's own; then an FFN of what they name, beside the CPU's.
#include <algorithm>
#include <cmath>

#include "../../quant/half.h"
#include "../../test/test_plugin.h"
#include "device_array.h"
#include "test_device.h"

namespace powerinfer_test {
namespace {

constexpr uint32_t kRowCount = 3;

TinyOptions options_of() {
  TinyOptions o{};
  o.shape = small_shape();
  o.shape.row_count_max = kRowCount;
  o.matrix_type = powerinfer::F16;
  o.down_by_neuron = true;
  return o;
}

// A predictor's settings, for the library and for the device.
struct Settings {
  std::string name;
  std::vector<powerinfer_option> options;
  std::vector<std::string> names;  // of the arrays
  std::vector<std::vector<uint8_t>> arrays;

  template <class T>
  void add(const std::string& array_name, const std::vector<T>& values) {
    const uint8_t* const bytes = reinterpret_cast<const uint8_t*>(values.data());
    names.push_back(array_name);
    arrays.emplace_back(bytes, bytes + values.size() * sizeof(T));
  }
};

// The settings as a device is shown them.
struct Shown {
  Shown(const Settings& settings, const powerinfer_model_shape& shape) : shape(shape) {
    for (size_t i = 0; i < settings.arrays.size(); ++i) {
      arrays.push_back({settings.names[i].c_str(), settings.arrays[i].data(), static_cast<double>(settings.arrays[i].size())});
    }
    context = {sizeof context, shape.row_count_max, &this->shape, settings.options.data(), arrays.data(), static_cast<uint32_t>(settings.options.size()),
               static_cast<uint32_t>(arrays.size())};
    kernels.struct_size = sizeof kernels;
    selector = {sizeof selector, 7, &kernels, nullptr, settings.name.c_str(), &context};
  }
  const powerinfer_model_shape shape;
  std::vector<powerinfer_array> arrays;
  powerinfer_plugin_context context;
  powerinfer_predictor_kernels kernels{};
  powerinfer_selector selector;
};

std::vector<uint16_t> some_halves(uint64_t count, Random& random) {
  std::vector<uint16_t> halves(count);
  for (uint16_t& half : halves) half = powerinfer::f16_from_float(random.uniform(-1, 1));
  return halves;
}

std::vector<float> some_thresholds(const powerinfer_model_shape& s, float most, Random& random) {
  std::vector<float> thresholds(s.ffn_width);
  for (float& threshold : thresholds) threshold = random.uniform(-most, most);
  return thresholds;
}

// Ranks are of the blocks.
Settings low_rank(const powerinfer_model_shape& s, const std::vector<uint32_t>& ranks, bool reads_residual, const std::vector<std::string>& option_names, Random& random) {
  Settings settings{"low_rank", {}, {}, {}};
  settings.options = {{"relu", POWERINFER_OPTION_BOOLEAN, 0, 1, ""}, {"residual", POWERINFER_OPTION_BOOLEAN, 0, reads_residual ? 1.0 : 0.0, ""}};
  for (uint32_t block = 0; block < s.block_count; ++block) {
    const uint32_t rank = ranks[block];
    const std::string b = "." + std::to_string(block);
    settings.options.push_back({option_names[3 * block].c_str(), POWERINFER_OPTION_NUMBER, 0, static_cast<double>(rank), ""});
    settings.options.push_back({option_names[3 * block + 1].c_str(), POWERINFER_OPTION_NUMBER, 0, double{powerinfer::F16}, ""});
    settings.options.push_back({option_names[3 * block + 2].c_str(), POWERINFER_OPTION_NUMBER, 0, double{powerinfer::F16}, ""});
    settings.add("down" + b, some_halves(uint64_t{rank} * s.hidden_width, random));
    settings.add("up" + b, some_halves(uint64_t{s.ffn_width} * rank, random));
    settings.add("thresholds" + b, some_thresholds(s, 4, random));
  }
  return settings;
}

Settings sign_bits(const powerinfer_model_shape& s, Random& random) {
  Settings settings{"sign_bits", {{"planes", POWERINFER_OPTION_NUMBER, 0, 2, ""}}, {}, {}};
  const uint32_t row_bytes = (s.hidden_width + 255) / 256 * 32;
  for (uint32_t block = 0; block < s.block_count; ++block) {
    std::vector<uint8_t> signs(uint64_t{row_bytes} * s.ffn_width);
    for (uint32_t n = 0; n < s.ffn_width; ++n)
      for (uint32_t i = 0; i < s.hidden_width; ++i) signs[n * row_bytes + i / 8] = static_cast<uint8_t>(signs[n * row_bytes + i / 8] | random.below(2) << i % 8);
    settings.add("signs." + std::to_string(block), signs);
    settings.add("thresholds." + std::to_string(block), some_thresholds(s, 1, random));
  }
  return settings;
}

// Every second neuron.
Shares half_of(const powerinfer_model_shape& s) {
  const uint32_t words = (s.ffn_width + 31) / 32;
  Shares shares(s.block_count * words, 0x55555555u);
  for (uint32_t block = 0; block < s.block_count; ++block) shares[block * words + words - 1] &= ~0u >> (words * 32 - s.ffn_width);
  return shares;
}

void check_selection(const Settings& settings, uint64_t seed) {
  const TinyModel tiny(options_of(), seed);
  const powerinfer_model_shape& s = tiny.options.shape;
  const uint32_t words = (s.ffn_width + 31) / 32;
  const OpenModel open(tiny, 1, POWERINFER_ISA_SCALAR);
  const TestPredictor predictor(s, Builtin{settings.name});
  for (const powerinfer_option& option : settings.options) CHECK_OK(predictor.option(option.name, option.number, option.kind));
  for (size_t i = 0; i < settings.arrays.size(); ++i) CHECK_OK(predictor.values(settings.names[i], settings.arrays[i]));
  CHECK_OK(predictor.open());

  const Shares share = half_of(s);
  const Shown shown(settings, s);
  const TestDevice device(tiny, true, share);
  make_ready(device.device());
  device->selectors->prepare(shown.selector);
  const uint32_t cache = open_cache(device.device(), 8, POWERINFER_CACHE_F32);
  uint32_t position = 0;
  for (const uint32_t row_count : {kRowCount, 1u, 1u, 1u}) {  // single rows are launched, then recorded, then replayed
    std::vector<powerinfer_row> rows;
    for (uint32_t i = 0; i < row_count; ++i, ++position) rows.push_back({position, position, cache});
    device.run(rows, [&](uint32_t block, uint32_t count) {
      powerinfer_ffn_call call = device.call(block, count, POWERINFER_FFN_START);
      call.selector = &shown.selector;
      std::vector<float> hidden(uint64_t{count} * s.hidden_width), residual(hidden.size()), partial(hidden.size()), expected(hidden.size());
      const powerinfer::cuda::DeviceRows& from = device->ffn_residual();
      for (uint32_t row = 0; row < count; ++row) {
        cudaMemcpyAsync(&residual[row * s.hidden_width], from.values + uint64_t{row} * from.stride, s.hidden_width * sizeof(float), cudaMemcpyDeviceToHost, device->queue());
      }
      ffn(device.device(), call);
      std::vector<uint32_t> named(count * words), truth(count * words);
      read_hidden(device.device(), hidden.data());
      read_selected(device.device(), named.data());
      cudaStreamSynchronize(device->queue());
      CHECK_OK(powerinfer_predictor_select(predictor.handle, 0, block, hidden.data(), residual.data(), count, truth.data()));
      CHECK(named == truth);
      merge(device.device(), block, nullptr);

      // What the device added is the CPU's FFN of the same neurons, within the share.
      for (uint32_t i = 0; i < truth.size(); ++i) truth[i] &= share[block * words + i % words];
      CHECK_OK(powerinfer_ffn(open.model, block, hidden.data(), count, truth.data(), 0, expected.data()));
      call.partial = partial.data();
      call.flags = 0;
      call.selector = &shown.selector;
      ffn(device.device(), call);
      for (size_t i = 0; i < partial.size(); ++i) CHECK_NEAR(partial[i], expected[i], 1e-5);
    });
  }
}

}  // namespace

TEST("low_rank on a CUDA device names what it names on the CPU, of hidden and of residual (seed 91)") {
  const powerinfer_model_shape s = options_of().shape;
  const std::vector<std::string> names{"rank.0", "down_type.0", "up_type.0", "rank.1", "down_type.1", "up_type.1"};
  for (const bool reads_residual : {false, true}) {
    Random random(91);
    check_selection(low_rank(s, {5, 13}, reads_residual, names, random), 91);
  }
}

TEST("low_rank on a CUDA device names for a row what it would alone, though there was a NaN in a block of a higher rank before (seed 94)") {
  const TinyModel tiny(options_of(), 94);
  const powerinfer_model_shape& s = tiny.options.shape;
  const std::vector<std::string> names{"rank.0", "down_type.0", "up_type.0", "rank.1", "down_type.1", "up_type.1"};
  Random random(94);
  const Settings settings = low_rank(s, {40, 5}, false, names, random);
  const Shown shown(settings, s);
  const uint32_t words = (s.ffn_width + 31) / 32, stride = powerinfer::cuda::row_stride(s.hidden_width);
  std::vector<float> good(2 * stride), bad(2 * stride);
  for (uint32_t row = 0; row < 2; ++row)
    for (uint32_t i = 0; i < s.hidden_width; ++i) good[row * stride + i] = bad[row * stride + i] = random.uniform(-2, 2);
  bad[0] = NAN;
  const DeviceArray<float> device_good(good), device_bad(bad);
  const auto named = [&](bool after_bad) {
    const TestDevice device(tiny, true);
    make_ready(device.device());
    powerinfer::cuda::DeviceSelector& selector = device->selectors->of(shown.selector);
    const DeviceArray<uint32_t> active(2 * words, 0u);
    const auto select = [&](uint32_t block, float* values) {
      const powerinfer::cuda::DeviceRows rows{values, stride, s.hidden_width};
      selector.select(block, {rows, rows, 2}, active.get(), device->queue());
    };
    if (after_bad) select(0, device_bad.get());
    select(1, device_good.get());
    return active.read();
  };
  CHECK(named(true) == named(false));
}

TEST("sign_bits on a CUDA device names what it names on the CPU (seed 92)") {
  Random random(92);
  check_selection(sign_bits(options_of().shape, random), 92);
}

TEST("a CUDA device says which predictors it cannot run, and forgets no memory of one that does not fit (seed 93)") {
  const TinyModel tiny(options_of(), 93);
  const powerinfer_model_shape& s = tiny.options.shape;
  Random random(93);
  Settings settings = sign_bits(s, random);
  uint64_t needed = 0;
  {
    const TestDevice device(tiny, true);
    make_ready(device.device());
    needed = device->budget->used_bytes();
    settings.name = "quantized_gate";
    const Shown shown(settings, s);
    CHECK_EQUAL(failure_of([&] { device->selectors->prepare(shown.selector); }).status, powerinfer_status{POWERINFER_UNSUPPORTED});
  }
  settings.name = "sign_bits";
  const Shown shown(settings, s);
  const TestDevice device(tiny, true, {}, static_cast<double>(needed + 100));
  make_ready(device.device());
  CHECK_EQUAL(failure_of([&] { device->selectors->prepare(shown.selector); }).status, powerinfer_status{POWERINFER_OUT_OF_MEMORY});
  CHECK_EQUAL(device->budget->used_bytes(), needed);
}

}  // namespace powerinfer_test
