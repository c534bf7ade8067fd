// Goal: quantized_gate and sign_bits name the neurons that their formulas name, on every instruction set, in any batch, on any threads.
// Method: sign_bits is a sum of integers, which a plain loop repeats exactly; quantized_gate is compared with double sums of decoded weights, a neuron left
// open where its score is as near the threshold as rounding.
#include <algorithm>
#include <cmath>
#include <functional>

#include "kernel_inputs.h"
#include "test_plugin.h"

namespace powerinfer_test {
namespace {

using powerinfer::row_bytes;

#define CHECK_STATUS(call, status) CHECK_EQUAL((call), powerinfer_status{status})

bool bit_of(const uint8_t* bits, uint64_t i) { return (bits[i / 8] >> i % 8 & 1) != 0; }

std::vector<float> some_thresholds(Random& random, uint32_t count, float spread) {
  std::vector<float> thresholds(count);
  for (float& threshold : thresholds) threshold = random.uniform(-spread, spread);
  return thresholds;
}

// Opens the predictor on every instruction set and checks that it names the same neurons alone, together and on three threads; hands one set to `check`.
void check_everywhere(const powerinfer_model_shape& s, const Builtin& builtin, const std::function<void(const TestPredictor&)>& give,
                      const std::vector<float>& hidden, uint32_t block, const std::function<void(const std::vector<uint32_t>&)>& check) {
  const uint32_t words = (s.ffn_width + 31) / 32, rows = static_cast<uint32_t>(hidden.size() / s.hidden_width);
  std::vector<uint32_t> scalar;
  for_each_isa([&](const powerinfer::Kernels&, uint32_t isa) {
    note(builtin.name + ", " + std::to_string(s.hidden_width) + " wide, " + std::to_string(s.ffn_width) + " neurons, " + kIsaNames[isa]);
    const TestPredictor predictor(s, builtin);
    give(predictor);
    CHECK_OK(predictor.option("isa", isa));
    CHECK_OK(predictor.open());
    const std::vector<uint32_t> together = select(predictor, s, 0, block, hidden);
    uint32_t cpu = 0;
    CHECK_OK(powerinfer_cpu_open(3, 0, &cpu));
    CHECK(select(predictor, s, cpu, block, hidden) == together);
    CHECK_OK(powerinfer_cpu_close(cpu));
    for (uint32_t row = 0; row < rows; ++row) {
      const auto begin = hidden.begin() + row * s.hidden_width;
      const std::vector<uint32_t> alone = select(predictor, s, 0, block, {begin, begin + s.hidden_width});
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + row * words));
    }
    if (scalar.empty()) scalar = together;
    CHECK(together == scalar);
  });
  check(scalar);
}

TEST("quantized_gate: names where proxy · x / |x| exceeds the threshold (seed 71)") {
  Random random(71);
  for (const uint32_t bits : {2u, 3u}) {
    const uint32_t type = bits == 2 ? powerinfer::G2 : powerinfer::G3;
    for (const uint32_t width : {32u, 64u, 96u, 256u}) {
      for (const uint32_t neurons : {31u, 32u, 33u, 200u}) {
        const powerinfer_model_shape s = shape_of(width, neurons);
        const uint32_t padded = (width + 63) / 64 * 64, words = (neurons + 31) / 32;
        std::vector<std::vector<uint8_t>> proxies;
        std::vector<std::vector<float>> thresholds;
        for (uint32_t block = 0; block < s.block_count; ++block) {
          proxies.push_back(some_weights(type, uint64_t{neurons} * padded, random, Values::kOrdinary));
          thresholds.push_back(some_thresholds(random, neurons, 0.05f));
        }
        const std::vector<float> hidden = rows_for(random, 5 * width);
        const auto give = [&](const TestPredictor& predictor) {
          CHECK_OK(predictor.option("bits", bits));
          for (uint32_t block = 0; block < s.block_count; ++block) {
            CHECK_OK(predictor.values("proxy." + std::to_string(block), proxies[block]));
            CHECK_OK(predictor.values("thresholds." + std::to_string(block), thresholds[block]));
          }
        };
        uint32_t sure = 0;
        check_everywhere(s, Builtin{"quantized_gate"}, give, hidden, 1, [&](const std::vector<uint32_t>& active) {
          const std::vector<float> weights = decoded(type, proxies[1], uint64_t{neurons} * padded);
          for (uint32_t row = 0; row < 5; ++row) {
            const float* x = &hidden[row * width];
            double squares = 0;
            for (uint32_t i = 0; i < width; ++i) squares += double{x[i]} * x[i];
            for (uint32_t n = 0; n < neurons; ++n) {
              double sum = 0, magnitude = 0;
              for (uint32_t i = 0; i < width; ++i) {
                sum += double{weights[n * padded + i]} * x[i];
                magnitude += std::abs(double{weights[n * padded + i]});
              }
              const double over = sum / std::sqrt(squares) - thresholds[1][n];
              if (std::abs(over) <= magnitude * (0.5 / 127 + 1e-5) / std::sqrt(squares)) continue;
              ++sure;
              CHECK_EQUAL((active[row * words + n / 32] >> n % 32 & 1) != 0, over > 0);
            }
          }
        });
        CHECK(sure > 5 * neurons / 2);
      }
    }
  }
}

TEST("sign_bits: names where the weighed signs agree more than the threshold (seed 72)") {
  Random random(72);
  constexpr double kMeanLevel[] = {0, 1, 1.25, 3};
  for (const uint32_t planes : {1u, 2u, 3u}) {
    for (const uint32_t width : {32u, 96u, 256u, 320u}) {
      for (const uint32_t neurons : {31u, 32u, 33u, 200u}) {
        const powerinfer_model_shape s = shape_of(width, neurons);
        const uint64_t row_bytes = (width + 255) / 256 * 32;
        const uint32_t words = (neurons + 31) / 32;
        std::vector<uint8_t> signs(neurons * row_bytes);
        for (uint8_t& byte : signs) byte = static_cast<uint8_t>(random.bits());
        const std::vector<float> thresholds = some_thresholds(random, neurons, 2);
        std::vector<float> hidden = rows_for(random, 5 * width);
        hidden[0] = 0;
        hidden[1] = -0.0f;
        std::fill(hidden.begin() + 4 * width, hidden.end(), 0.0f);
        const auto give = [&](const TestPredictor& predictor) {
          CHECK_OK(predictor.option("planes", planes));
          for (uint32_t block = 0; block < s.block_count; ++block) {
            CHECK_OK(predictor.values("signs." + std::to_string(block), signs));
            CHECK_OK(predictor.values("thresholds." + std::to_string(block), thresholds));
          }
        };
        check_everywhere(s, Builtin{"sign_bits"}, give, hidden, 0, [&](const std::vector<uint32_t>& active) {
          for (uint32_t row = 0; row < 5; ++row) {
            const float* x = &hidden[row * width];
            double squares = 0;
            for (uint32_t i = 0; i < width; ++i) squares += double{x[i]} * x[i];
            const double mean = std::sqrt(squares / width);
            std::vector<int32_t> m(width);
            int32_t length = 0;
            for (uint32_t i = 0; i < width; ++i) {
              const double level = mean > 0 ? std::floor(std::abs(x[i]) * (kMeanLevel[planes] / mean) + 0.5) : 0;
              m[i] = planes == 1 ? 1 : static_cast<int32_t>(std::min(level, (1 << planes) - 1.0));
              length += m[i] * m[i];
            }
            for (uint32_t n = 0; n < neurons; ++n) {
              int32_t sum = 0;
              for (uint32_t i = 0; i < width; ++i) sum += (bit_of(&signs[n * row_bytes], i) != (x[i] < 0)) ? -m[i] : m[i];
              const float score = static_cast<float>(sum) / std::sqrt(static_cast<float>(std::max(length, 1)));
              CHECK_EQUAL((active[row * words + n / 32] >> n % 32 & 1) != 0, score > thresholds[n]);
            }
          }
        });
      }
    }
  }
}

TEST("sign_distances gives the definition's counts on every instruction set (seed 73)") {
  Random random(73);
  for (const uint64_t row_bytes : {uint64_t{32}, uint64_t{64}, uint64_t{31 * 32}, uint64_t{32 * 32}, uint64_t{70 * 32}}) {
    for (const uint32_t planes : {1u, 2u, 3u}) {
      std::vector<uint8_t> signs(9 * row_bytes), x(row_bytes), masks(planes * row_bytes, 0xff);
      for (uint8_t& byte : signs) byte = static_cast<uint8_t>(random.bits());
      for (uint8_t& byte : x) byte = static_cast<uint8_t>(random.bits());
      for (uint64_t i = 0; i < masks.size() / 2; ++i) masks[i] = static_cast<uint8_t>(random.bits());
      for (uint64_t i = 0; i < row_bytes; ++i) signs[8 * row_bytes + i] = static_cast<uint8_t>(~x[i]);  // every bit differs
      std::vector<uint32_t> expected(8), actual(8);
      powerinfer::SignDistances op{signs.data(), row_bytes, 1, 8, x.data(), masks.data(), planes, expected.data()};
      uint32_t scalar = POWERINFER_ISA_SCALAR;
      powerinfer::kernels_for(scalar)->sign_distances(op);
      op.distances = actual.data();
      for_each_isa([&](const powerinfer::Kernels& kernels, uint32_t isa) {
        note(std::to_string(row_bytes) + " bytes, " + std::to_string(planes) + " planes, " + kIsaNames[isa]);
        std::fill(actual.begin(), actual.end(), ~0u);
        kernels.sign_distances(op);
        CHECK(actual == expected);
      });
    }
  }
}

TEST("quantized_gate and sign_bits refuse settings that do not fit (seed 74)") {
  const powerinfer_model_shape s = shape_of(64, 40);
  const auto refused = [&](const std::string& name, const TestPredictor& predictor, const std::string& words) {
    CHECK_STATUS(predictor.open(), POWERINFER_PLUGIN_FAILED);
    CHECK_EQUAL(last_error(), "Cannot open the predictor: " + name + " failed in open: " + words);
  };
  const TestPredictor gate(s, Builtin{"quantized_gate"}), signs(s, Builtin{"sign_bits"});
  CHECK_OK(gate.option("bits", 1));
  refused("quantized_gate", gate, "bits is 1; it must be 2 or 3");
  CHECK_OK(gate.option("bits", 2));
  CHECK_OK(gate.values("proxy.0", std::vector<uint8_t>(10)));
  refused("quantized_gate", gate, "the array proxy.0 has 10 bytes; it must have 720");
  CHECK_OK(signs.option("planes", 0));
  refused("sign_bits", signs, "planes is 0; it must be from 1 to 3");
  CHECK_OK(signs.option("planes", 2));
  refused("sign_bits", signs, "there is no array signs.0");
  const TestPredictor narrow(shape_of(48, 40), Builtin{"quantized_gate"});
  CHECK_OK(narrow.option("bits", 2));
  refused("quantized_gate", narrow, "hidden_width is 48; it must be a multiple of 32");
}

}  // namespace
}  // namespace powerinfer_test
