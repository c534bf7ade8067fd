// Goal: the parts of a sparse down are the sums of the listed neurons, and a row's sums do not depend on what other rows list.
// Method: the definition: n additions in f32 are off by at most n · 2^-24 of the sum of magnitudes. A row alone, bit for bit.
#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "../definitions.h"
#include "device_weights.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

struct Input {
  uint32_t row_count, share_count;
  std::vector<float> activation;  // f32[row_count, stride], in each row some zeros
  std::vector<uint32_t> list;     // the neurons that some row has, then one more: an empty list has an address too
  bool has_list;
  uint32_t list_count() const { return static_cast<uint32_t>(list.size() - 1); }
  uint32_t stride() const { return row_stride(share_count); }
};

// Of 100 neurons `share` are listed; one without a list has them all.
Input some_input(uint32_t row_count, uint32_t share_count, uint32_t share, bool has_list, Random& random) {
  Input input{row_count, share_count, {}, {}, has_list};
  input.activation.assign(uint64_t{row_count} * input.stride(), has_list ? NAN : 0);  // what is not listed is not read
  for (uint32_t n = 0; n < share_count; ++n) {
    if (has_list && random.below(100) >= share) continue;
    input.list.push_back(n);
    for (uint32_t row = 0; row < row_count; ++row) input.activation[row * input.stride() + n] = random.below(3) == 0 ? 0 : random.uniform(-2, 2);
  }
  input.list.push_back(0);
  return input;
}

std::vector<float> summed(const Input& input, const DeviceWeights& down, uint32_t hidden_width, uint32_t part_rows) {
  const DeviceArray<float> activation(input.activation), parts(uint64_t{kDownParts} * part_rows * row_stride(hidden_width), 0.0f);
  const DeviceArray<uint32_t> list(input.list), count(1, input.list_count());
  const NeuronList neurons{input.has_list ? list.get() : nullptr, input.has_list ? count.get() : nullptr, input.share_count};
  launch_down({down.down(), neurons, activation.get(), input.stride(), input.row_count, {parts.get(), row_stride(hidden_width), hidden_width}, part_rows},
              nullptr);
  return parts.read();
}

void check(const Input& input, const DeviceWeights& down, uint32_t hidden_width) {
  const uint32_t part_rows = input.row_count + 1, stride = row_stride(hidden_width), count = input.list_count();
  const std::vector<float> actual = summed(input, down, hidden_width, part_rows);
  const NeuronList neurons{input.has_list ? input.list.data() : nullptr, &count, input.share_count};
  std::vector<float> expected(actual.size()), magnitudes(actual.size()), positive = input.activation, weights = down.values();
  Down op{down.down(), neurons, input.activation.data(), input.stride(), input.row_count, {expected.data(), stride, hidden_width}, part_rows};
  down_definition(op, weights.data());
  for (float& activation : positive) activation = std::abs(activation);
  for (float& weight : weights) weight = std::abs(weight);
  op.activation = positive.data(), op.parts.values = magnitudes.data();
  down_definition(op, weights.data());
  for (uint64_t i = 0; i < actual.size(); ++i) CHECK_NEAR(actual[i], expected[i], (count + 16.0) * 0x1p-24 * magnitudes[i]);
}

// A share of a block of ffn_width neurons: every second or so, or all of them.
DeviceWeights some_down(uint32_t type, uint32_t hidden_width, uint32_t ffn_width, bool columns, bool has_gaps, Random& random) {
  std::optional<std::vector<uint32_t>> members;
  if (has_gaps) members.emplace();
  for (uint32_t n = 0; has_gaps && n < ffn_width; ++n)
    if (n == 0 || random.below(2) == 0) members->push_back(n);
  return columns ? DeviceWeights(type, ffn_width, hidden_width, random, Values::kOrdinary, true, members)
                 : DeviceWeights(type, hidden_width, ffn_width, random, Values::kOrdinary, false, members);
}

}  // namespace

TEST("down sums up the listed neurons for every type, stored by neuron and by column (seed 56)") {
  Random random(56);
  for (const uint32_t type : kDeviceTypes)
    for (const bool columns : {false, true}) {
      const uint32_t block = block_weights(type);
      const uint32_t hidden_width = columns || block == 1 ? 300 : block == 32 ? 288 : 512, ffn_width = columns && block > 1 ? 512 : 300;
      for (const bool has_gaps : {false, true}) {
        note(std::string(name_of(type)) + (columns ? " by column" : " by neuron") + (has_gaps ? ", a share" : ""));
        const DeviceWeights down = some_down(type, hidden_width, ffn_width, columns, has_gaps, random);
        check(some_input(1 + random.below(3), down.matrix().rows, 30, true, random), down, hidden_width);
      }
    }
}

TEST("down sums up lists of any length for any number of rows (seed 57)") {
  Random random(57);
  for (const uint32_t share_count : {1u, 31u, 33u, 64u, 65u, 1000u, 5000u})
    for (const uint32_t share : {0u, 20u, 100u}) {
      const uint32_t row_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17};
      const uint32_t row_count = share_count > 1000 ? 1 : row_counts[random.below(10)], hidden_width = 1 + random.below(40);
      note(std::to_string(share_count) + " neurons, " + std::to_string(share) + " of 100 listed, rows " + std::to_string(row_count));
      const DeviceWeights down = some_down(F16, hidden_width, share_count, false, false, random);
      check(some_input(row_count, share_count, share, true, random), down, hidden_width);
      if (share == 100) check(some_input(row_count, share_count, share, false, random), down, hidden_width);
    }
}

TEST("down gives a row the bits that it gets alone, with a list of its own, in any type and form (seed 58)") {
  Random random(58);
  for (const uint32_t type : {F32, Q8_0, Q4_K, Q6_K})
    for (const bool columns : {false, true}) {
      const uint32_t hidden_width = columns || type == F32 ? 33 : 256, share_count = 768, stride = row_stride(hidden_width);
      note(std::string(name_of(type)) + (columns ? " by column" : " by neuron"));
      const DeviceWeights down = some_down(type, hidden_width, share_count, columns, false, random);
      const Input input = some_input(9, share_count, 40, true, random);
      const std::vector<float> together = summed(input, down, hidden_width, 9);
      for (const uint32_t row : {0u, 4u, 8u}) {
        const auto begin = input.activation.begin() + row * input.stride();
        Input alone{1, share_count, {begin, begin + input.stride()}, {}, true};
        for (uint32_t k = 0; k < input.list_count(); ++k)
          if (alone.activation[input.list[k]] != 0) alone.list.push_back(input.list[k]);
        alone.list.push_back(0);
        const std::vector<float> parts = summed(alone, down, hidden_width, 1);
        for (uint32_t part = 0; part < kDownParts; ++part)
          CHECK(std::memcmp(&parts[part * stride], &together[(part * 9 + row) * stride], hidden_width * sizeof(float)) == 0);
      }
    }
}

TEST("down leaves out neurons that a row does not want, even when their weights are infinite, and keeps NaN where it is wanted") {
  const std::vector<float> weights = {INFINITY, 1.0f, NAN, 2.0f, 3.0f, 4.0f};  // [3 neurons, 2 columns]
  std::vector<float> padded(3 * 32);
  for (uint32_t n = 0; n < 3; ++n) padded[n * 32] = weights[n * 2], padded[n * 32 + 1] = weights[n * 2 + 1];
  std::vector<float> activations(2 * 32);
  activations[2] = 1;         // row 0 wants the last neuron, row 1 the first and the last, whose activation is NaN
  activations[32] = 1, activations[32 + 2] = NAN;
  const DeviceArray<float> device_weights(padded), activation(activations), parts(kDownParts * 2 * 32, 0.0f);
  DownMatrix down;
  down.rows.codes = reinterpret_cast<const uint8_t*>(device_weights.get());
  down.rows.type = F32, down.rows.width = 2, down.rows.rows = 3;
  launch_down({down, {nullptr, nullptr, 3}, activation.get(), 32, 2, {parts.get(), 32, 2}, 2}, nullptr);
  const std::vector<float> read = parts.read();
  float sums[4] = {};
  for (uint32_t part = 0; part < kDownParts; ++part)
    for (uint32_t i = 0; i < 4; ++i) sums[i] += read[(part * 2 + i / 2) * 32 + i % 2];
  CHECK_EQUAL(sums[0], 3.0f);
  CHECK_EQUAL(sums[1], 4.0f);
  CHECK(std::isnan(sums[2]) && std::isnan(sums[3]));
}
