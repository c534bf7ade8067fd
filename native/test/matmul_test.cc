// Goal: every matmul variant computes weight · x, writes nothing else, and gives the same bits however the work is cut.
// Method: sums in double over decoded weights are the oracle. A chain of n f32 additions is off by at most n · 2^-24 of the sum of
// magnitudes: n is the width for the scalar definition, an eighth of it (plus the lanes' own sum) for vectors, and the number of
// groups, with a few roundings each, where codes are multiplied exactly; there every variant gives the scalar bits.
#include <algorithm>
#include "../cpu/resident.h"
#include "../include/powerinfer.h"
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

constexpr float kUntouched = -12345.0f;

std::vector<uint32_t> widths_of(uint32_t type) {
  if (block_weights(type) == 1) return {1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 257};
  if (block_weights(type) == 64) return {64, 128, 192, 1088};
  if (block_weights(type) == 32) return {32, 64, 96, 224, 288, 1056};
  return {256, 512, 768, 1792};
}

struct Product {
  uint32_t width, weight_rows, batch;
  std::vector<uint8_t> weights;
  Activations x;
  Product(uint32_t type, uint32_t width, uint32_t weight_rows, uint32_t batch, Random& random, Values values)
      : width(width), weight_rows(weight_rows), batch(batch), weights(some_weights(type, uint64_t{width} * weight_rows, random, values)),
        x(batch, width, random, values) {}
};

std::vector<float> run(const Kernels& kernels, uint32_t type, const Product& c) {
  std::vector<float> out(uint64_t{c.batch} * (c.weight_rows + 1), kUntouched);
  kernels.matmul[type]({c.weights.data(), row_bytes(type, c.width), nullptr, 0, c.weight_rows, c.x.rows, out.data(), c.weight_rows + 1});
  return out;
}

void check_against_double(uint32_t type, const Product& c) {
  const uint64_t count = uint64_t{c.width} * c.weight_rows;
  const std::vector<float> weights = decoded(type, c.weights, count);
  const std::vector<double> magnitudes = magnitudes_of(type, c.weights, count);
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(std::string(name_of(type)) + " " + kIsaNames[isa] + ", width " + std::to_string(c.width) + ", batch " + std::to_string(c.batch));
    const bool codes = kernels.form[type] != Form::kValues;
    const double chain = codes ? c.width / 8 + 16 : isa == 1 ? c.width + 1 : c.width / 8 + 16;
    const std::vector<float> out = run(kernels, type, c);
    for (uint32_t r = 0; r < c.batch; ++r) {
      for (uint32_t n = 0; n < c.weight_rows; ++n) {
        double sum = 0, magnitude = 0;
        for (uint32_t k = 0; k < c.width; ++k) {
          const double x = c.x.seen(kernels.form[type], r, k);
          sum += x * weights[uint64_t{n} * c.width + k];
          magnitude += std::abs(x) * magnitudes[uint64_t{n} * c.width + k];
        }
        CHECK_NEAR(out[r * (c.weight_rows + 1) + n], sum, chain * 0x1p-24 * magnitude);
      }
      CHECK_EQUAL(out[r * (c.weight_rows + 1) + c.weight_rows], kUntouched);
    }
  });
}

void check_type(uint32_t type, Values values, uint64_t seed) {
  const uint32_t weight_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65}, batches[] = {64, 9, 8, 7, 5, 4, 3, 2, 1, 4, 1, 5};
  Random random(seed);
  for (const uint32_t width : widths_of(type))
    for (uint32_t i = 0; i < 12; ++i) check_against_double(type, Product(type, width, weight_rows[i], batches[i], random, values));
}

bool same_bits(const float* a, const float* b, uint64_t count) { return std::memcmp(a, b, count * sizeof(float)) == 0; }

}  // namespace

TEST("matmul equals a sum in double for every type, instruction set, width, row count and batch (seed 1)") {
  for (const uint32_t type : kAllTypes) check_type(type, Values::kOrdinary, 1);
  for (const uint32_t type : kGateTypes) check_type(type, Values::kOrdinary, 1);
}

TEST("matmul equals a sum in double for extreme codes and zero, subnormal and negative scales (seed 2)") {
  for (const uint32_t type : kAllTypes) check_type(type, Values::kHostile, 2);
  for (const uint32_t type : kGateTypes) check_type(type, Values::kHostile, 2);
}

TEST("matmul is exact where every Q8_0 code is -128 and every activation 127 or -127") {
  std::vector<uint8_t> weights(row_bytes(Q8_0, 96) * 5, 0x80);
  for (uint32_t b = 0; b < 15; ++b) reinterpret_cast<BlockQ8_0*>(weights.data())[b].d = 0x3c00;  // 1
  for (const float sign : {1.0f, -1.0f}) {
    const Activations x(std::vector<float>(96, sign * 127), 1, 96);
    for_each_isa([&](const Kernels& kernels, uint32_t) {
      float out[5];
      kernels.matmul[Q8_0]({weights.data(), row_bytes(Q8_0, 96), nullptr, 0, 5, x.rows, out, 5});
      for (const float value : out) CHECK_EQUAL(value, sign * -128 * 127 * 96);
    });
  }
}

TEST("matmul of codes gives the scalar bits on every instruction set (seed 5)") {
  Random random(5);
  for (const uint32_t type : {Q8_0, Q4_0, Q4_K, Q6_K, G2, G3})
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t batch : {1u, 3u, 4u, 65u, 130u}) {
        const Product c(type, widths_of(type).back(), 21, batch, random, values);
        uint32_t scalar = POWERINFER_ISA_SCALAR;
        const std::vector<float> expected = run(*kernels_for(scalar), type, c);
        for_each_isa([&](const Kernels& kernels, uint32_t isa) {
          note(std::string(name_of(type)) + " " + kIsaNames[isa] + ", batch " + std::to_string(batch));
          CHECK(same_bits(run(kernels, type, c).data(), expected.data(), expected.size()));
        });
      }
}

TEST("matmul gives the same bits for a batch of 64, of 7 and of 1, for a range, its slices, its panels and a list of rows (seed 4)") {
  Random random(4);
  std::vector<uint32_t> types(std::begin(kAllTypes), std::end(kAllTypes));
  types.insert(types.end(), std::begin(kGateTypes), std::end(kGateTypes));
  for (const uint32_t type : types) {
    const uint32_t width = widths_of(type).back();
    const Product c(type, width, 21, 64, random, Values::kOrdinary);
    for_each_isa([&](const Kernels& kernels, uint32_t isa) {
      note(std::string(name_of(type)) + " " + kIsaNames[isa]);
      const std::vector<float> whole = run(kernels, type, c);
      for (const uint32_t batch : {1u, 7u}) {
        std::vector<float> out(uint64_t{22} * 64, kUntouched);
        for (uint32_t row = 0; row < 64; row += batch) {
          const Activations x = c.x.slice(row, std::min(batch, 64 - row));
          kernels.matmul[type]({c.weights.data(), row_bytes(type, width), nullptr, 0, 21, x.rows, out.data() + row * 22, 22});
        }
        CHECK(same_bits(out.data(), whole.data(), out.size()));
      }
      std::vector<float> sliced(uint64_t{22} * 64, kUntouched), listed = sliced;
      for (const uint32_t first : {0u, 2u, 3u, 10u})
        kernels.matmul[type]({c.weights.data(), row_bytes(type, width), nullptr, first, first == 10 ? 11u : first == 3 ? 7u : first == 2 ? 1u : 2u, c.x.rows,
                              sliced.data(), 22});
      CHECK(same_bits(sliced.data(), whole.data(), sliced.size()));
      if (kernels.reads_panels && has_panels(type)) {
        std::vector<uint8_t> panels(panels_bytes(row_bytes(type, width), 21));
        ThreadPool pool(2);
        write_panels(pool, type, c.weights.data(), row_bytes(type, width), 21, panels.data());
        std::vector<float> paneled(uint64_t{22} * 64, kUntouched);
        for (const uint32_t first : {0u, 8u})
          kernels.matmul[type]({nullptr, row_bytes(type, width), nullptr, first, first == 0 ? 8u : 13u, c.x.rows, paneled.data(), 22, panels.data()});
        CHECK(same_bits(paneled.data(), whole.data(), paneled.size()));
      }
      const uint32_t ids[] = {0, 3, 4, 5, 9, 13, 20};
      kernels.matmul[type]({c.weights.data(), row_bytes(type, width), ids, 0, 7, c.x.rows, listed.data(), 22});
      for (uint32_t r = 0; r < 64; ++r)
        for (uint32_t n = 0; n < 21; ++n) {
          const bool is_listed = std::find(std::begin(ids), std::end(ids), n) != std::end(ids);
          CHECK_EQUAL(listed[r * 22 + n], is_listed ? whole[r * 22 + n] : kUntouched);
        }
    });
  }
}
