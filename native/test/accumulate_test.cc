// Goal: every accumulate variant adds Σ scale · down for the listed neurons, from rows and from repacked groups, and gives the same bits
// however columns and batch rows are cut.
// Method: sums in double over decoded weights are the oracle; n additions in f32 are off by at most n · 2^-24 of the sum of magnitudes.
#include <algorithm>
#include "../cpu/repack.h"
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

constexpr uint32_t kFfnWidth = 512;

// A `down` whose neuron n contributes weights[n * hidden_width + c] to column c.
struct Down {
  uint32_t type, hidden_width;
  bool repacked;
  std::vector<uint8_t> bytes;
  std::vector<float> weights;
  std::vector<double> magnitudes;

  Down(uint32_t type, uint32_t hidden_width, bool repacked, Random& random, Values values) : type(type), hidden_width(hidden_width), repacked(repacked) {
    const uint64_t count = uint64_t{hidden_width} * kFfnWidth;
    bytes = some_weights(type, count, random, values);
    weights = decoded(type, bytes, count);
    magnitudes = magnitudes_of(type, bytes, count);
    if (!repacked) return;
    const auto from = bytes;
    const auto weights_by_column = weights;
    const auto magnitudes_by_column = magnitudes;
    bytes.assign(repacked_down_bytes(type, hidden_width, kFfnWidth), 0xee);
    ThreadPool pool(2);
    repack_down(pool, type, hidden_width, kFfnWidth, from.data(), bytes.data());
    for (uint32_t n = 0; n < kFfnWidth; ++n)
      for (uint32_t c = 0; c < hidden_width; ++c) {
        weights[uint64_t{n} * hidden_width + c] = weights_by_column[uint64_t{c} * kFfnWidth + n];
        magnitudes[uint64_t{n} * hidden_width + c] = magnitudes_by_column[uint64_t{c} * kFfnWidth + n];
      }
  }
  AccumulateKernel kernel(const Kernels& kernels) const { return repacked ? kernels.accumulate_repacked[type] : kernels.accumulate[type]; }
};

// Activations of a few batch rows; a third of the listed neurons is not wanted by each.
struct Hidden {
  uint32_t row_count;
  std::vector<uint32_t> neurons;
  std::vector<float> scale;
  std::vector<float> start;  // what `out` holds before

  Hidden(uint32_t row_count, uint32_t hidden_width, uint32_t share, Random& random) : row_count(row_count), scale(uint64_t{row_count} * kFfnWidth) {
    for (uint32_t n = 0; n < kFfnWidth; ++n) {
      if (random.below(100) >= share) continue;
      neurons.push_back(n);
      for (uint32_t r = 0; r < row_count; ++r) scale[r * kFfnWidth + n] = random.below(3) == 0 && r > 0 ? 0.0f : random.uniform(-2, 2);
    }
    for (uint64_t i = 0; i < uint64_t{row_count} * hidden_width; ++i) start.push_back(random.uniform(-1, 1));
  }
};

std::vector<float> run(const Kernels& kernels, const Down& down, const Hidden& hidden, uint32_t slice) {
  std::vector<float> out = hidden.start;
  for (uint32_t begin = 0; begin < down.hidden_width; begin += slice)
    down.kernel(kernels)({down.bytes.data(), row_bytes(down.type, down.hidden_width), down.hidden_width, kFfnWidth, hidden.neurons.data(),
                          static_cast<uint32_t>(hidden.neurons.size()), hidden.scale.data(), kFfnWidth, hidden.row_count, begin,
                          std::min(begin + slice, down.hidden_width), out.data(), down.hidden_width});
  return out;
}

void check_against_double(const Down& down, const Hidden& hidden) {
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(std::string(name_of(down.type)) + " " + kIsaNames[isa] + ", width " + std::to_string(down.hidden_width));
    const std::vector<float> out = run(kernels, down, hidden, down.hidden_width);
    for (uint32_t r = 0; r < hidden.row_count; ++r)
      for (uint32_t c = 0; c < down.hidden_width; ++c) {
        double sum = hidden.start[r * down.hidden_width + c], magnitude = std::abs(sum);
        for (const uint32_t n : hidden.neurons) {
          sum += double{hidden.scale[r * kFfnWidth + n]} * down.weights[uint64_t{n} * down.hidden_width + c];
          magnitude += std::abs(hidden.scale[r * kFfnWidth + n]) * down.magnitudes[uint64_t{n} * down.hidden_width + c];
        }
        CHECK_NEAR(out[r * down.hidden_width + c], sum, (2.0 * static_cast<double>(hidden.neurons.size()) + 4) * 0x1p-24 * magnitude);
      }
  });
}

std::vector<uint32_t> hidden_widths(uint32_t type, bool repacked) {
  if (repacked || block_weights(type) == 1) return {1, 7, 8, 9, 31, 33, 63, 65, 128, 300};
  return block_weights(type) == 32 ? std::vector<uint32_t>{32, 96, 288} : std::vector<uint32_t>{256, 768};
}

void check_layout(bool repacked, uint64_t seed) {
  Random random(seed);
  for (const uint32_t type : kAllTypes)
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t width : hidden_widths(type, repacked)) {
        const Down down(type, width, repacked, random, values);
        for (const uint32_t share : {1u, 10u, 100u}) check_against_double(down, Hidden(1 + random.below(3), width, share, random));
      }
}

void check_cuts(bool repacked, uint64_t seed) {
  Random random(seed);
  for (const uint32_t type : kAllTypes) {
    const uint32_t width = repacked || block_weights(type) == 1 ? 777 : 768;
    const Down down(type, width, repacked, random, Values::kOrdinary);
    const Hidden many(5, width, 40, random);
    for_each_isa([&](const Kernels& kernels, uint32_t isa) {
      note(std::string(name_of(type)) + " " + kIsaNames[isa]);
      const std::vector<float> whole = run(kernels, down, many, width);
      CHECK(whole == run(kernels, down, many, 256));
      for (uint32_t r = 0; r < many.row_count; ++r) {
        // The row alone, listing only what it wants.
        Hidden one = many;
        one.row_count = 1;
        one.scale.assign(many.scale.begin() + r * kFfnWidth, many.scale.begin() + (r + 1) * kFfnWidth);
        one.start.assign(many.start.begin() + r * width, many.start.begin() + (r + 1) * width);
        one.neurons.erase(std::remove_if(one.neurons.begin(), one.neurons.end(), [&](uint32_t n) { return one.scale[n] == 0; }), one.neurons.end());
        const std::vector<float> alone = run(kernels, down, one, width);
        CHECK(std::memcmp(alone.data(), whole.data() + r * width, width * sizeof(float)) == 0);
      }
    });
  }
}

}  // namespace

TEST("accumulate equals a sum in double for every type, instruction set and width (seed 5)") { check_layout(false, 5); }
TEST("accumulate_repacked equals a sum in double for every type, instruction set and width (seed 6)") { check_layout(true, 6); }
TEST("accumulate gives the same bits for slices of columns and for a row alone (seed 7)") { check_cuts(false, 7); }
TEST("accumulate_repacked gives the same bits for slices of columns and for a row alone (seed 8)") { check_cuts(true, 8); }

TEST("accumulate leaves out neurons that a row does not want, even when their weights are infinite") {
  const float infinite[] = {INFINITY, 1.0f, NAN, 2.0f};  // [2 neurons, 2 columns]
  const float scale[] = {0.0f, 0.0f};
  const uint32_t neurons[] = {0, 1};
  for_each_isa([&](const Kernels& kernels, uint32_t) {
    float out[] = {-0.0f, 3.0f};
    kernels.accumulate[F32]({reinterpret_cast<const uint8_t*>(infinite), 8, 2, 2, neurons, 2, scale, 2, 1, 0, 2, out, 2});
    CHECK(std::signbit(out[0]) && out[0] == 0);
    CHECK_EQUAL(out[1], 3.0f);
  });
}
