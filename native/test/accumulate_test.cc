// Goal: every accumulate variant adds Σ activation · down for the listed neurons, from rows and from repacked groups, and gives the same bits
// however columns and batch rows are cut; where activations are codes, the bits of the dense matmul.
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
  // What the kernel multiplies.
  Form form(const Kernels& kernels) const { return repacked ? kernels.form[type] : Form::kValues; }
};

// Activations of a few batch rows; a third of the listed neurons is not wanted by each.
struct Hidden {
  uint32_t row_count;
  std::vector<uint32_t> neurons;
  std::vector<float> activations;  // f32[row_count, kFfnWidth]
  std::vector<float> start;        // what `out` holds before

  Hidden(uint32_t row_count, uint32_t hidden_width, uint32_t share, Random& random) : row_count(row_count), activations(uint64_t{row_count} * kFfnWidth) {
    for (uint32_t n = 0; n < kFfnWidth; ++n) {
      if (random.below(100) >= share) continue;
      neurons.push_back(n);
      for (uint32_t r = 0; r < row_count; ++r) activations[r * kFfnWidth + n] = random.below(3) == 0 && r > 0 ? 0.0f : random.uniform(-2, 2);
    }
    for (uint64_t i = 0; i < uint64_t{row_count} * hidden_width; ++i) start.push_back(random.uniform(-1, 1));
  }
};

std::vector<float> run(const Kernels& kernels, const Down& down, const Hidden& hidden, uint32_t slice) {
  std::vector<float> out = hidden.start;
  const Activations x(hidden.activations, hidden.row_count, kFfnWidth);
  for (uint32_t begin = 0; begin < down.hidden_width; begin += slice)
    down.kernel(kernels)({down.bytes.data(), row_bytes(down.type, down.hidden_width), down.hidden_width, hidden.neurons.data(),
                          static_cast<uint32_t>(hidden.neurons.size()), x.rows, begin, std::min(begin + slice, down.hidden_width), out.data(),
                          down.hidden_width});
  return out;
}

void check_against_double(const Down& down, const Hidden& hidden) {
  const Activations x(hidden.activations, hidden.row_count, kFfnWidth);
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(std::string(name_of(down.type)) + " " + kIsaNames[isa] + ", width " + std::to_string(down.hidden_width));
    const std::vector<float> out = run(kernels, down, hidden, down.hidden_width);
    for (uint32_t r = 0; r < hidden.row_count; ++r)
      for (uint32_t c = 0; c < down.hidden_width; ++c) {
        double sum = hidden.start[r * down.hidden_width + c], magnitude = std::abs(sum);
        for (const uint32_t n : hidden.neurons) {
          const double activation = x.seen(down.form(kernels), r, n);
          sum += activation * down.weights[uint64_t{n} * down.hidden_width + c];
          magnitude += std::abs(activation) * down.magnitudes[uint64_t{n} * down.hidden_width + c];
        }
        CHECK_NEAR(out[r * down.hidden_width + c], sum, (2.0 * static_cast<double>(hidden.neurons.size()) + 4) * 0x1p-24 * magnitude);
      }
  });
}

std::vector<uint32_t> hidden_widths(uint32_t type, bool repacked) {
  if (repacked || block_weights(type) == 1) return {1, 7, 8, 9, 31, 33, 63, 65, 128, 300, 600};
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
    const uint32_t width = repacked || block_weights(type) == 1 ? 1100 : 1280;
    const Down down(type, width, repacked, random, Values::kOrdinary);
    const Hidden many(5, width, 40, random);
    for_each_isa([&](const Kernels& kernels, uint32_t isa) {
      note(std::string(name_of(type)) + " " + kIsaNames[isa]);
      const std::vector<float> whole = run(kernels, down, many, width);
      for (const uint32_t slice : {256u, 512u}) CHECK(whole == run(kernels, down, many, slice));
      for (uint32_t r = 0; r < many.row_count; ++r) {
        // The row alone, listing only what it wants.
        Hidden one = many;
        one.row_count = 1;
        one.activations.assign(many.activations.begin() + r * kFfnWidth, many.activations.begin() + (r + 1) * kFfnWidth);
        one.start.assign(many.start.begin() + r * width, many.start.begin() + (r + 1) * width);
        one.neurons.erase(std::remove_if(one.neurons.begin(), one.neurons.end(), [&](uint32_t n) { return one.activations[n] == 0; }), one.neurons.end());
        const std::vector<float> alone = run(kernels, down, one, width);
        CHECK(std::memcmp(alone.data(), whole.data() + r * width, width * sizeof(float)) == 0);
      }
    });
  }
}

// One matrix by rows and repacked; the rows of `hidden` through both.
void check_matmul_bits(uint32_t type, const Hidden& hidden, uint32_t width, Random& random, Values values) {
  const std::vector<uint8_t> rows = some_weights(type, uint64_t{width} * kFfnWidth, random, values);
  std::vector<uint8_t> repacked(repacked_down_bytes(type, width, kFfnWidth));
  ThreadPool pool(1);
  repack_down(pool, type, width, kFfnWidth, rows.data(), repacked.data());
  const Activations x(hidden.activations, hidden.row_count, kFfnWidth);
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(std::string(name_of(type)) + " " + kIsaNames[isa] + ", " + std::to_string(hidden.neurons.size()) + " neurons");
    std::vector<float> dense(uint64_t{hidden.row_count} * width), sparse(dense.size());
    kernels.matmul[type]({rows.data(), row_bytes(type, kFfnWidth), nullptr, 0, width, x.rows, dense.data(), width});
    kernels.accumulate_repacked[type]({repacked.data(), 0, width, hidden.neurons.data(), static_cast<uint32_t>(hidden.neurons.size()), x.rows, 0, width,
                                       sparse.data(), width});
    for (size_t i = 0; i < dense.size(); ++i) {
      if (std::isnan(dense[i])) CHECK(std::isnan(sparse[i]));
      else CHECK_EQUAL(bits_from_float(sparse[i]), bits_from_float(dense[i]));
    }
  });
}

constexpr uint32_t kCodedTypes[] = {Q8_0, Q4_0, Q4_K, Q6_K};

}  // namespace

TEST("accumulate equals a sum in double for every type, instruction set and width (seed 5)") { check_layout(false, 5); }
TEST("accumulate_repacked equals a sum in double for every type, instruction set and width (seed 6)") { check_layout(true, 6); }
TEST("accumulate gives the same bits for slices of columns and for a row alone (seed 7)") { check_cuts(false, 7); }
TEST("accumulate_repacked gives the same bits for slices of columns and for a row alone (seed 8)") { check_cuts(true, 8); }

TEST("accumulate_repacked of codes gives the bits of the dense matmul, at any share of neurons (seed 9)") {
  Random random(9);
  for (const uint32_t type : kCodedTypes)
    for (const Values values : {Values::kOrdinary, Values::kHostile})
      for (const uint32_t share : {0u, 1u, 10u, 50u, 100u}) check_matmul_bits(type, Hidden(3, 200, share, random), 200, random, values);
}

TEST("accumulate_repacked of codes: the largest codes of every neuron still give the bits of the dense matmul (seed 10)") {
  Random random(10);
  for (const uint32_t type : kCodedTypes)
    for (const float sign : {1.0f, -1.0f, 0.0f}) {
      Hidden hidden(2, 64, 100, random);
      for (float& activation : hidden.activations) activation = sign != 0 ? sign : random.below(2) == 0 ? 1.0f : -1.0f;
      check_matmul_bits(type, hidden, 64, random, Values::kHostile);
    }
}

TEST("accumulate_repacked of codes: infinite and NaN activations reach every column, tiny ones none, as in the dense matmul (seed 11)") {
  Random random(11);
  for (const uint32_t type : kCodedTypes)
    for (const float extreme : {INFINITY, -INFINITY, NAN, 1e-38f, 3e38f}) {
      Hidden hidden(3, 100, 10, random);
      hidden.activations[kFfnWidth + hidden.neurons[hidden.neurons.size() / 2]] = extreme;  // row 1
      check_matmul_bits(type, hidden, 100, random, Values::kOrdinary);
    }
}

TEST("accumulate leaves out neurons that a row does not want, even when their weights are infinite") {
  const float infinite[] = {INFINITY, 1.0f, NAN, 2.0f};  // [2 neurons, 2 columns]
  const Activations none({0.0f, 0.0f}, 1, 2);
  const uint32_t neurons[] = {0, 1};
  for_each_isa([&](const Kernels& kernels, uint32_t) {
    float out[] = {-0.0f, 3.0f};
    kernels.accumulate[F32]({reinterpret_cast<const uint8_t*>(infinite), 8, 2, neurons, 2, none.rows, 0, 2, out, 2});
    CHECK(std::signbit(out[0]) && out[0] == 0);
    CHECK_EQUAL(out[1], 3.0f);
  });
}
