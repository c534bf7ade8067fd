// Goal: listed neurons get the activations that the CPU's sparse FFN gives them, and others are left alone.
// Method: the definition. A lane adds the products of an octet one after the other, five steps add up the lanes: of a width up to 256 a sum is off by at
// most 14 · 2^-24 of the sum of magnitudes. Of f(gate) · g(up), whose slopes are below 1.13, that is twice as much of the product of both.
#include <cmath>
#include <optional>
#include <string>

#include "../definitions.h"
#include "device_weights.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

constexpr float kUnwritten = -7;

struct Case {
  uint32_t type, hidden_width, ffn_width, row_count;
  bool gated, confirm, has_gaps;  // gaps: the share is not the whole block
  uint32_t named, listed;         // of 100 neurons: by each row (more than 100: all, without sets), in the list (more than 100: all, without a list)
  uint32_t gate_activation, up_activation;
  bool has_thresholds, has_nan;
};

std::vector<uint32_t> some_numbers(uint32_t end, uint32_t share, Random& random) {
  std::vector<uint32_t> numbers;
  for (uint32_t n = 0; n < end; ++n)
    if (random.below(100) < share) numbers.push_back(n);
  return numbers;
}

std::vector<float> some_floats(uint64_t count, float low, float high, Random& random) {
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(low, high);
  return values;
}

double magnitude(const float* weights, const float* x, uint32_t width) {
  double sum = 0;
  for (uint32_t i = 0; i < width; ++i) sum += std::abs(double{weights[i]} * x[i]);
  return sum;
}

void check(const Case& c, Random& random) {
  note(std::string(name_of(c.type)) + " [" + std::to_string(c.hidden_width) + ", " + std::to_string(c.ffn_width) + "], rows " +
       std::to_string(c.row_count) + ", gated " + std::to_string(c.gated) + ", confirm " + std::to_string(c.confirm) + ", named " +
       std::to_string(c.named) + ", listed " + std::to_string(c.listed));
  std::optional<std::vector<uint32_t>> members;
  if (c.has_gaps) members = some_numbers(c.ffn_width, 60, random);
  if (c.has_gaps && members->empty()) members->push_back(0);
  const DeviceWeights gate(c.type, c.hidden_width, c.ffn_width, random, Values::kOrdinary, false, members);
  const DeviceWeights up(c.type, c.hidden_width, c.ffn_width, random, Values::kOrdinary, false, members);
  const uint32_t share_count = gate.matrix().rows, words = (c.ffn_width + 31) / 32;
  const uint32_t x_stride = row_stride(c.hidden_width), stride = row_stride(share_count);
  std::vector<float> x(uint64_t{c.row_count} * x_stride), activation(uint64_t{c.row_count} * stride, kUnwritten);
  for (uint64_t i = 0; i < x.size(); ++i)
    if (i % x_stride < c.hidden_width) x[i] = random.uniform(-2, 2);
  if (c.has_nan) x[x_stride * (c.row_count / 2)] = NAN;
  std::vector<float> bias = some_floats(share_count, -1, 1, random), gate_threshold = some_floats(share_count, 0, 1, random);
  std::vector<float> activation_threshold = some_floats(share_count, 0, 3, random);
  std::vector<uint32_t> active(uint64_t{c.row_count} * words), list = some_numbers(share_count, c.listed, random);
  for (uint32_t row = 0; row < c.row_count; ++row)
    for (const uint32_t n : some_numbers(c.ffn_width, c.named, random)) active[row * words + n / 32] |= 1u << n % 32;
  const uint32_t list_count = static_cast<uint32_t>(list.size());
  list.push_back(share_count);  // not to be read: an empty list has an address too
  const bool has_list = c.listed <= 100, has_sets = c.named <= 100;

  const DeviceArray<float> device_x(x), device_activation(activation), device_bias(bias);
  const DeviceArray<float> device_gate(gate_threshold), device_kept(activation_threshold);
  const DeviceArray<uint32_t> device_members(c.has_gaps ? *members : std::vector<uint32_t>(1)), device_active(active);
  const DeviceArray<uint32_t> device_list(list), device_count(1, list_count);
  GateUp op{};
  if (c.gated) op.gate = gate.matrix();
  op.up = up.matrix();
  op.up_bias = device_bias.get();
  op.gate_activation = c.gate_activation, op.up_activation = c.up_activation;
  op.confirm = c.confirm;
  if (c.has_thresholds) op.gate_threshold = device_gate.get(), op.activation_threshold = device_kept.get();
  op.neurons = {has_list ? device_list.get() : nullptr, has_list ? device_count.get() : nullptr, share_count};
  if (has_sets) op.active = device_active.get();
  op.words = words;
  if (c.has_gaps) op.members = device_members.get();
  op.x = {device_x.get(), x_stride, c.hidden_width};
  op.row_count = c.row_count;
  op.activation = device_activation.get(), op.activation_stride = stride;
  Tally tally{1, 2, 3, 4};
  const DeviceArray<Tally> device_tally(1, tally);
  op.tally = device_tally.get();
  launch_gate_up(op, nullptr);

  op.up_bias = bias.data();
  if (c.has_thresholds) op.gate_threshold = gate_threshold.data(), op.activation_threshold = activation_threshold.data();
  if (has_list) op.neurons = {list.data(), &list_count, share_count};
  if (has_sets) op.active = active.data();
  if (c.has_gaps) op.members = members->data();
  op.x.values = x.data(), op.activation = activation.data(), op.tally = &tally;
  gate_up_definition(op, c.gated ? gate.values().data() : nullptr, up.values().data());

  const Tally counted = device_tally.read()[0];
  if (c.row_count <= 8) CHECK_EQUAL(counted.confirmed, tally.confirmed);
  const std::vector<float> actual = device_activation.read();
  for (uint32_t row = 0; row < c.row_count; ++row)
    for (uint32_t n = 0; n < stride; ++n) {
      const float expected = activation[row * stride + n], got = actual[row * stride + n];
      if (n >= share_count || expected == 0 || expected == kUnwritten || std::isnan(expected)) {
        CHECK(got == expected || (std::isnan(got) && std::isnan(expected)));
        continue;
      }
      const uint64_t at = uint64_t{n} * c.hidden_width;
      const double of_up = magnitude(&up.values()[at], &x[row * x_stride], c.hidden_width) + std::abs(bias[n]);
      const double of_gate = c.gated ? magnitude(&gate.values()[at], &x[row * x_stride], c.hidden_width) : 1;
      CHECK_NEAR(got, expected, 2 * 1.13 * 15 * 0x1p-24 * of_up * of_gate);
    }
}

constexpr uint32_t kRelu = POWERINFER_ACTIVATION_RELU, kIdentity = POWERINFER_ACTIVATION_IDENTITY;

}  // namespace

TEST("gate_up equals its definition for every type, and for any number of rows (seed 53)") {
  Random random(53);
  for (const uint32_t type : kDeviceTypes)
    for (const uint32_t row_count : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 17u}) {
      const uint32_t width = block_weights(type) == 1 ? 65 : block_weights(type) == 32 ? 96 : 256;
      check({type, width, 33, row_count, true, true, row_count % 2 == 0, 50, 70, kRelu, kIdentity, false, false}, random);
    }
}

TEST("gate_up equals its definition for any share, list and set, empty and full ones too (seed 54)") {
  Random random(54);
  for (const uint32_t ffn_width : {1u, 31u, 33u, 64u, 65u})
    for (const uint32_t named : {0u, 30u, 101u})
      for (const uint32_t listed : {0u, 40u, 100u, 101u})
        check({F16, 40, ffn_width, 1 + random.below(4), true, true, random.below(2) == 0, named, listed, kRelu, kIdentity, false, false}, random);
  check({Q8_0, 32, 1000, 2, true, true, true, 20, 20, kRelu, kIdentity, false, false}, random);
}

TEST("gate_up equals its definition with and without gate, confirming, thresholds and NaN, of each activation (seed 55)") {
  Random random(55);
  for (uint32_t trial = 0; trial < 40; ++trial) {
    const bool gated = trial % 2 == 0, confirm = trial / 2 % 2 == 0, has_thresholds = trial / 4 % 2 == 0, has_nan = trial / 8 % 2 == 0;
    const uint32_t activations[] = {kIdentity, kRelu, POWERINFER_ACTIVATION_SILU, POWERINFER_ACTIVATION_GELU};
    const uint32_t row_count = 1 + random.below(9), f = activations[random.below(4)], g = activations[random.below(4)];
    check({F32, 24, 40, row_count, gated, confirm, false, 60, 90, f, g, has_thresholds, has_nan}, random);
  }
}

TEST("gate_up gives a neuron the bits that multiply gives it, for any number of rows, in every type (seed 59)") {
  constexpr uint32_t kNeurons = 10;
  Random random(59);
  for (const uint32_t type : kDeviceTypes)
    for (const uint32_t row_count : {1u, 2u, 3u, 5u, 9u}) {
      const uint32_t width = block_weights(type) == 256 ? 1280 : 1184;
      note(std::string(name_of(type)) + " rows " + std::to_string(row_count));
      const DeviceWeights up(type, width, kNeurons, random);
      const TestRows x(row_count, width, random);
      const DeviceArray<float> activation(row_count * kNeurons, kUnwritten), product(row_count * kNeurons, kUnwritten);
      GateUp op{};
      op.up = up.matrix();
      op.up_activation = kIdentity;
      op.neurons = {nullptr, nullptr, kNeurons};
      op.x = x.on_device(), op.row_count = row_count;
      op.activation = activation.get(), op.activation_stride = kNeurons;
      launch_gate_up(op, nullptr);
      launch_multiply({up.matrix(), nullptr, false, x.on_device(), row_count, product.get(), kNeurons}, nullptr);
      const std::vector<float> actual = activation.read(), expected = product.read();
      for (uint32_t i = 0; i < actual.size(); ++i) CHECK_EQUAL(bits_from_float(actual[i]), bits_from_float(expected[i]));
    }
}

TEST("gate_up leaves a zero gate zero whatever up is, and does not read up where confirming leaves no gate") {
  std::vector<float> gate(2 * 32), up(2 * 32), x(32);
  gate[0] = -1, gate[32] = 2;  // of two neurons
  up[0] = INFINITY, up[32] = 3;
  x[0] = 1;
  const DeviceArray<float> device_gate(gate), device_up(up), device_x(x), activation(32, kUnwritten);
  const auto matrix = [](const float* weights, uint32_t rows) {
    DeviceMatrix m;
    m.codes = reinterpret_cast<const uint8_t*>(weights);
    m.type = F32, m.width = 1, m.rows = rows;
    return m;
  };
  GateUp op{};
  op.gate = matrix(device_gate.get(), 2), op.up = matrix(device_up.get(), 2);
  op.gate_activation = kRelu, op.up_activation = kIdentity;
  op.neurons = {nullptr, nullptr, 2};
  op.x = {device_x.get(), 32, 1}, op.row_count = 1;
  op.activation = activation.get(), op.activation_stride = 32;
  for (const bool confirm : {false, true}) {
    op.confirm = confirm;
    launch_gate_up(op, nullptr);
    const std::vector<float> read = activation.read();
    CHECK_EQUAL(read[0], 0.0f);
    CHECK_EQUAL(read[1], 6.0f);
  }
  const float* const nowhere = nullptr;
  op.up = matrix(nowhere + 64, 2);
  op.neurons.count_max = 1;  // the neuron whose gate is zero
  launch_gate_up(op, nullptr);
  CHECK_EQUAL(cudaDeviceSynchronize(), cudaSuccess);
}
