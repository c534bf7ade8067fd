// Goal: what all neurons of a share add, from either form of `down`, the same for a row whoever else is in the batch.
// Method: the definition, in double. A warp's chain has every eighth neuron, and eight chains are added: an output is wrong by at most that many
// roundings of the magnitudes that were added.
#include "../definitions.h"
#include "device_weights.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

void check_down(const DeviceWeights& down, uint32_t row_count, Random& random) {
  const uint32_t neurons = down.matrix().rows, width = down.matrix().width;
  const std::string shape = " [" + std::to_string(neurons) + ", " + std::to_string(width) + "], rows " + std::to_string(row_count);
  note(name_of(down.matrix().type) + shape);
  TestRows activation(row_count, neurons, random), out(row_count, width, random);
  DownDense op{down.down(), activation.on_device().values, activation.stride(), row_count, out.on_device()};
  launch_down_dense(op, nullptr);
  op.activation = activation.on_host().values;
  op.out = out.on_host();
  down_dense_definition(op, down.values().data());
  out.check([&](uint32_t r, uint32_t c) {
    double magnitude = 0;
    for (uint32_t n = 0; n < neurons; ++n) magnitude += std::abs(double{activation.row(r)[n]} * down.values()[uint64_t{n} * width + c]);
    return (neurons / 8 + 10) * kRounding * magnitude;
  });
}

std::vector<uint32_t> every_third(uint32_t count) {
  std::vector<uint32_t> neurons;
  for (uint32_t n = 1; n < count; n += 3) neurons.push_back(n);
  return neurons;
}

}  // namespace

TEST("down_dense equals its definition in every type, for a DOWN and a DOWN_BY_NEURON, of all neurons or a share (seed 39)") {
  Random random(39);
  for (const uint32_t type : kDeviceTypes) {
    const uint32_t block = block_weights(type), neurons = block == 1 ? 65 : block == 32 ? 96 : 256;
    check_down(DeviceWeights(type, neurons, 33, random, Values::kOrdinary, true), 3, random);
    check_down(DeviceWeights(type, neurons, 65, random, Values::kHostile, true, every_third(neurons)), 9, random);
    check_down(DeviceWeights(type, std::max(block, 32u) * 2, 31, random), 1, random);
    check_down(DeviceWeights(type, std::max(block, 32u), 31, random, Values::kOrdinary, false, every_third(31)), 17, random);
  }
  for (const uint32_t width : {1u, 7u, 256u, 288u}) check_down(DeviceWeights(F32, width, 7, random), 2, random);
}

TEST("down_dense gives a row the same bits alone and in any batch (seed 40)") {
  constexpr uint32_t kRows = 9, kWidth = 64, kNeurons = 96;
  Random random(40);
  const DeviceWeights down(Q4_0, kNeurons, kWidth, random, Values::kOrdinary, true);
  const TestRows activation(kRows, kNeurons, random);
  const auto sums = [&](uint32_t first, uint32_t count) {
    const DeviceArray<float> out(uint64_t{count} * kWidth, 0.0f);
    const float* const values = activation.on_device().values + uint64_t{first} * activation.stride();
    launch_down_dense({down.down(), values, activation.stride(), count, {out.get(), kWidth, kWidth}}, nullptr);
    return out.read();
  };
  const std::vector<float> all = sums(0, kRows);
  for (const uint32_t row : {0u, 8u}) {
    const std::vector<float> alone = sums(row, 1);
    for (uint32_t i = 0; i < kWidth; ++i) CHECK_EQUAL(bits_from_float(alone[i]), bits_from_float(all[row * kWidth + i]));
  }
}
