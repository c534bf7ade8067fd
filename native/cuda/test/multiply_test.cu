// Goal: products of matrices with few rows and with many, the same for a row whoever else is in the batch.
// Method: the definition, in double. An octet is up to nine roundings, a lane has one of 128 or the part of one; additions of lanes, shares, bias and what
// was there follow. An output is wrong by no more roundings of the magnitudes that were added than eight for each 256 of the width, and eight.
#include <memory>

#include "../definitions.h"
#include "device_weights.h"
#include "test_rows.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

struct Shape {
  uint32_t width, weight_rows, row_count;
};

void check_multiply(uint32_t type, const Shape& shape, bool biased, bool add, Values values, Random& random) {
  const std::string name = " [" + std::to_string(shape.width) + ", " + std::to_string(shape.weight_rows) + "], rows ";
  note(name_of(type) + name + std::to_string(shape.row_count));
  const DeviceWeights weight(type, shape.width, shape.weight_rows, random, values);
  TestRows x(shape.row_count, shape.width, random), bias(1, shape.weight_rows, random), out(shape.row_count, shape.weight_rows, random);
  const std::vector<float> before = out.read();
  Multiply op{weight.matrix(), biased ? bias.on_device().values : nullptr, add, x.on_device(), shape.row_count, out.on_device().values, out.stride()};
  launch_multiply(op, nullptr);
  op.bias = biased ? bias.on_host().values : nullptr;
  op.x = x.on_host();
  op.out = out.on_host().values;
  multiply_definition(op, weight.values().data());
  const double roundings = 8.0 * ((shape.width + 255) / 256) + 8;
  out.check([&](uint32_t r, uint32_t n) {
    double magnitude = std::abs(bias.row(0)[n]) + std::abs(before[uint64_t{r} * out.stride() + n]);
    for (uint32_t i = 0; i < shape.width; ++i) magnitude += std::abs(double{weight.values()[uint64_t{n} * shape.width + i]} * x.row(r)[i]);
    return roundings * kRounding * magnitude;
  });
}

}  // namespace

TEST("multiply equals its definition for few and many rows (seed 36)") {
  Random random(36);
  for (const uint32_t row_count : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 17u, 65u})
    check_multiply(F32, {33, 7, row_count}, random.below(2) != 0, random.below(2) != 0, Values::kOrdinary, random);
  for (const uint32_t weight_rows : {1u, 31u, 32u, 33u, 64u, 65u})
    for (const uint32_t row_count : {1u, 8u}) check_multiply(BF16, {40, weight_rows, row_count}, true, false, Values::kOrdinary, random);
  for (const uint32_t width : {1u, 7u, 8u, 31u, 32u, 33u, 64u, 65u, 256u, 288u, 1030u})
    for (const uint32_t row_count : {1u, 3u}) check_multiply(F16, {width, 5, row_count}, false, true, Values::kOrdinary, random);
}

TEST("multiply equals its definition in every type (seed 37)") {
  Random random(37);
  for (const uint32_t type : kDeviceTypes)
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t row_count : {1u, 4u, 9u})
        for (const uint32_t width : {std::max(32u, block_weights(type)), 3 * std::max(32u, block_weights(type)), 1280u, 4864u}) {
          check_multiply(type, {width, 9, row_count}, true, true, values, random);
        }
}

TEST("multiply gives a row the same bits alone and in any batch, in every type, of widths that end anywhere in a step (seed 38)") {
  constexpr uint32_t kRows = 17, kWeightRows = 11;
  Random random(38);
  for (const uint32_t type : kDeviceTypes)
    for (const uint32_t width : block_weights(type) == 256 ? std::vector<uint32_t>{768, 4864} : std::vector<uint32_t>{768, 1184, 4896}) {
      note(std::string(name_of(type)) + " width " + std::to_string(width));
      const DeviceWeights weight(type, width, kWeightRows, random);
      const TestRows x(kRows, width, random);
      const auto product = [&](uint32_t first, uint32_t count) {
        const DeviceArray<float> out(count * kWeightRows, 0.0f);
        DeviceRows rows = x.on_device();
        rows.values += uint64_t{first} * rows.stride;
        launch_multiply({weight.matrix(), nullptr, false, rows, count, out.get(), kWeightRows}, nullptr);
        return out.read();
      };
      const std::vector<float> all = product(0, kRows);
      for (const uint32_t count : {1u, 2u, 3u, 5u})
        for (const uint32_t first : {0u, 7u, 12u}) {
          const std::vector<float> some = product(first, count);
          for (uint32_t i = 0; i < some.size(); ++i) CHECK_EQUAL(bits_from_float(some[i]), bits_from_float(all[first * kWeightRows + i]));
        }
    }
}

TEST("products of the same rows give the same bits together and one by one, whatever their types and heights (seed 99)") {
  constexpr uint32_t kWidth = 256, kRowsMax = 9;
  Random random(99);
  struct Case {
    uint32_t type, weight_rows;
  };
  for (const std::vector<Case>& cases : {std::vector<Case>{{F16, 37}, {F16, 5}, {F16, 1}}, {{Q4_K, 8}, {Q4_K, 70}, {Q6_K, 6}}, {{Q8_0, 3}, {F32, 33}, {Q8_0, 4}}, {{BF16, 2}, {BF16, 2}}})
    for (const uint32_t row_count : {1u, 2u, 3u, kRowsMax}) {
      const TestRows x(row_count, kWidth, random);
      std::vector<std::unique_ptr<DeviceWeights>> weights;
      std::vector<std::unique_ptr<DeviceArray<float>>> alone, together;
      std::vector<Multiply> ops;
      for (const Case& c : cases) {
        weights.push_back(std::make_unique<DeviceWeights>(c.type, kWidth, c.weight_rows, random));
        for (auto* const outs : {&alone, &together}) outs->push_back(std::make_unique<DeviceArray<float>>(row_count * c.weight_rows, -1.0f));
        const Multiply op{weights.back()->matrix(), nullptr, false, x.on_device(), row_count, alone.back()->get(), c.weight_rows};
        launch_multiply(op, nullptr);
        ops.push_back(op);
        ops.back().out = together.back()->get();
      }
      if (ops.size() == 2) launch_products({ops[0], ops[1]}, nullptr);
      else launch_products({ops[0], ops[1], ops[2]}, nullptr);
      for (uint32_t of = 0; of < ops.size(); ++of) CHECK(together[of]->read() == alone[of]->read());
    }
}
