// Goal: signs and magnitudes are packed, and signs compared, exactly as the CPU does.
// Method: the definitions, bit for bit. The sum of squares has another order on the device, which no magnitude here is close enough to a border to show.
#include <cmath>

#include "../../test/test.h"
#include "../definitions.h"
#include "device_array.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

uint32_t bytes_of(uint32_t width) { return (width + 255) / 256 * 32; }

std::vector<float> some_rows(uint32_t row_count, uint32_t width, Random& random) {
  std::vector<float> x(uint64_t{row_count} * row_stride(width));
  for (uint32_t row = 0; row < row_count; ++row)
    for (uint32_t i = 0; i < width; ++i) x[row * row_stride(width) + i] = random.below(9) == 0 ? 0 : random.uniform(-2, 2);
  return x;
}

void check_packed(std::vector<float> x, uint32_t row_count, uint32_t width, uint32_t plane_count) {
  const uint32_t row_bytes = bytes_of(width);
  std::vector<uint8_t> expected_bits(uint64_t{row_count} * (1 + plane_count) * row_bytes);
  std::vector<uint32_t> expected_totals(row_count);
  std::vector<float> expected_lengths(row_count);
  pack_signs_definition({{x.data(), row_stride(width), width}, row_count, plane_count, row_bytes, expected_bits.data(), expected_totals.data(),
                         expected_lengths.data()});

  const DeviceArray<float> device_x(x), lengths(row_count, 0.0f);
  const DeviceArray<uint8_t> bits(expected_bits.size(), uint8_t{0xee});
  const DeviceArray<uint32_t> totals(row_count, 0u);
  launch_pack_signs({{device_x.get(), row_stride(width), width}, row_count, plane_count, row_bytes, bits.get(), totals.get(), lengths.get()}, nullptr);
  CHECK(bits.read() == expected_bits);
  CHECK(totals.read() == expected_totals);
  CHECK(lengths.read() == expected_lengths);
}

}  // namespace

TEST("pack_signs packs what its definition packs, at any width and number of planes (seed 41)") {
  Random random(41);
  for (const uint32_t width : {1u, 31u, 33u, 255u, 256u, 257u, 1000u})
    for (uint32_t plane_count = 1; plane_count <= 3; ++plane_count) {
      note("width " + std::to_string(width) + ", planes " + std::to_string(plane_count));
      check_packed(some_rows(3, width, random), 3, width, plane_count);
    }
}

TEST("pack_signs gives zeros, infinities and NaN the levels of its definition (seed 42)") {
  Random random(42);
  for (const float extreme : {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-30f, 3e38f})
    for (uint32_t plane_count = 1; plane_count <= 3; ++plane_count) {
      std::vector<float> x = some_rows(2, 40, random);
      for (uint32_t i = 0; i < 40; ++i) x[i] = extreme;
      x[row_stride(40) + 7] = extreme;
      check_packed(x, 2, 40, plane_count);
    }
}

TEST("sign_scores gives the scores of its definition bit for bit (seed 43)") {
  Random random(43);
  for (const uint32_t neuron_count : {1u, 7u, 33u, 65u})
    for (const uint32_t row_count : {1u, 3u, 8u, 9u, 17u})
      for (const uint32_t width : {40u, 512u, 1100u}) {
        const uint32_t plane_count = 1 + random.below(3), row_bytes = bytes_of(width), stride = row_stride(neuron_count);
        note(std::to_string(neuron_count) + " neurons, " + std::to_string(row_count) + " rows, width " + std::to_string(width));
        std::vector<uint8_t> signs(uint64_t{neuron_count} * row_bytes), bits(uint64_t{row_count} * (1 + plane_count) * row_bytes);
        for (uint8_t& byte : signs) byte = static_cast<uint8_t>(random.bits());
        for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random.bits());
        std::vector<uint32_t> totals(row_count);
        std::vector<float> lengths(row_count), expected(uint64_t{row_count} * stride, -1.0f);
        for (uint32_t& total : totals) total = random.below(7 * width);
        for (float& length : lengths) length = random.uniform(1, 100);
        sign_scores_definition({signs.data(), bits.data(), totals.data(), lengths.data(), plane_count, row_bytes, neuron_count, row_count,
                                expected.data(), stride});

        const DeviceArray<uint8_t> device_signs(signs), device_bits(bits);
        const DeviceArray<uint32_t> device_totals(totals);
        const DeviceArray<float> device_lengths(lengths), scores(expected.size(), -1.0f);
        launch_sign_scores({device_signs.get(), device_bits.get(), device_totals.get(), device_lengths.get(), plane_count, row_bytes, neuron_count,
                            row_count, scores.get(), stride}, nullptr);
        CHECK(scores.read() == expected);
      }
}
