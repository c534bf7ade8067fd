// Goal: low_rank names the neurons that its formula names, whatever the types, the instruction set, the batch or the threads, and refuses what does not fit.
// Method: the formula in double on decoded weights, a neuron left open where its score is as near the threshold as rounding; bit equality where promised.
#include <algorithm>
#include <cmath>

#include "kernel_inputs.h"
#include "test_plugin.h"

namespace powerinfer_test {
namespace {

using powerinfer::row_bytes;

#define CHECK_STATUS(call, status) CHECK_EQUAL((call), powerinfer_status{status})

uint32_t whole_blocks(uint32_t type, uint32_t width) {
  const uint32_t block = block_weights(type);
  return (width + block - 1) / block * block;
}

// What a product may be off by, relative to its magnitudes: half a step of a code of 8 or 16 bits, or what float32 sums lose.
double rounding(uint32_t type) {
  uint32_t isa = POWERINFER_ISA_SCALAR;
  const powerinfer::Form form = powerinfer::kernels_for(isa)->form[type];
  return form == powerinfer::Form::kBytes ? 0.5 / 127 : form == powerinfer::Form::kWords ? 0.5 / 32767 + 1e-5 : 1e-5;
}

struct Matrices {
  uint32_t rank, down_type, up_type, up_width;
  std::vector<uint8_t> down, up;
  std::vector<float> thresholds;

  Matrices(const powerinfer_model_shape& s, uint32_t rank, uint32_t down_type, uint32_t up_type, Random& random)
      : rank(rank), down_type(down_type), up_type(up_type), up_width(whole_blocks(up_type, rank)),
        down(some_weights(down_type, uint64_t{rank} * s.hidden_width, random, Values::kOrdinary)),
        up(some_weights(up_type, uint64_t{s.ffn_width} * up_width, random, Values::kOrdinary)), thresholds(s.ffn_width) {
    for (float& threshold : thresholds) threshold = random.uniform(-2, 2);
  }

  void give(const TestPredictor& predictor, uint32_t block) const {
    const std::string b = "." + std::to_string(block);
    CHECK_OK(predictor.option("rank" + b, rank));
    CHECK_OK(predictor.option("down_type" + b, down_type));
    CHECK_OK(predictor.option("up_type" + b, up_type));
    CHECK_OK(predictor.values("down" + b, down));
    CHECK_OK(predictor.values("up" + b, up));
    CHECK_OK(predictor.values("thresholds" + b, thresholds));
  }

  // Scores and how far rounding may move them, of one row.
  void score(const float* x, const powerinfer_model_shape& s, bool relu, std::vector<double>& scores, std::vector<double>& slack) const {
    const std::vector<float> d = decoded(down_type, down, uint64_t{rank} * s.hidden_width), u = decoded(up_type, up, uint64_t{s.ffn_width} * up_width);
    std::vector<double> middle(rank), spread(rank);
    for (uint32_t r = 0; r < rank; ++r) {
      for (uint32_t i = 0; i < s.hidden_width; ++i) {
        middle[r] += double{d[r * s.hidden_width + i]} * x[i];
        spread[r] += std::abs(double{d[r * s.hidden_width + i]} * x[i]);
      }
      if (relu) middle[r] = std::max(middle[r], 0.0);
    }
    const double input_error = rounding(down_type), middle_error = rounding(up_type);
    double largest = 0;
    for (const double value : middle) largest = std::max(largest, std::abs(value));
    scores.assign(s.ffn_width, 0);
    slack.assign(s.ffn_width, 0);
    for (uint32_t n = 0; n < s.ffn_width; ++n) {
      for (uint32_t r = 0; r < rank; ++r) {
        scores[n] += u[n * up_width + r] * middle[r];
        slack[n] += std::abs(double{u[n * up_width + r]}) * (spread[r] * input_error + largest * middle_error);
      }
    }
  }
};

void set_all(const TestPredictor& predictor, const std::vector<Matrices>& blocks, bool relu, uint32_t isa) {
  for (uint32_t block = 0; block < blocks.size(); ++block) blocks[block].give(predictor, block);
  CHECK_OK(predictor.option("relu", relu, POWERINFER_OPTION_BOOLEAN));
  CHECK_OK(predictor.option("isa", isa));
  CHECK_OK(predictor.open());
}

std::vector<Matrices> matrices_of(const powerinfer_model_shape& s, std::initializer_list<uint32_t> ranks, uint32_t down_type, uint32_t up_type, Random& random) {
  std::vector<Matrices> blocks;
  for (uint32_t block = 0; block < s.block_count; ++block) blocks.emplace_back(s, ranks.begin()[block % ranks.size()], down_type, up_type, random);
  return blocks;
}

TEST("low_rank: names where up · f(down · x) exceeds the threshold, for all types and instruction sets (seed 61)") {
  Random random(61);
  const powerinfer_model_shape s = shape_of(256, 75);
  const uint32_t words = (s.ffn_width + 31) / 32;
  const uint32_t types[][2] = {{powerinfer::F32, powerinfer::F32},   {powerinfer::F16, powerinfer::F16},  {powerinfer::Q8_0, powerinfer::Q8_0},
                               {powerinfer::Q4_0, powerinfer::Q4_0}, {powerinfer::F16, powerinfer::Q8_0}, {powerinfer::Q6_K, powerinfer::Q4_K},
                               {powerinfer::Q8_0, powerinfer::F16},  {powerinfer::Q5_1, powerinfer::BF16}};
  for (const auto& type : types) {
    for (const bool relu : {false, true}) {
      const std::vector<Matrices> blocks = matrices_of(s, {relu ? 40u : 1u, 97}, type[0], type[1], random);
      const std::vector<float> hidden = rows_for(random, 3 * s.hidden_width);
      uint32_t open = 0, sure = 0;
      for_each_isa([&](const powerinfer::Kernels&, uint32_t isa) {
        const TestPredictor predictor(s, Builtin{"low_rank"});
        set_all(predictor, blocks, relu, isa);
        for (uint32_t block = 0; block < s.block_count; ++block) {
          note(std::string(name_of(type[0])) + " " + name_of(type[1]) + ", block " + std::to_string(block) + ", " + kIsaNames[isa]);
          const std::vector<uint32_t> active = select(predictor, s, 0, block, hidden);
          for (uint32_t row = 0; row < 3; ++row) {
            std::vector<double> scores, slack;
            blocks[block].score(&hidden[row * s.hidden_width], s, relu, scores, slack);
            for (uint32_t n = 0; n < s.ffn_width; ++n) {
              const double over = scores[n] - blocks[block].thresholds[n];
              if (std::abs(over) <= slack[n]) {
                ++open;
                continue;
              }
              ++sure;
              CHECK_EQUAL((active[row * words + n / 32] >> n % 32 & 1) != 0, over > 0);
            }
          }
        }
      });
      CHECK(sure > open);
    }
  }
}

TEST("low_rank: a row's set depends neither on its batch nor on threads, and with codes not on the instruction set (seed 62)") {
  Random random(62);
  for (const uint32_t ffn_width : {31u, 32u, 33u, 200u}) {
    const powerinfer_model_shape s = shape_of(256, ffn_width);
    const uint32_t words = (ffn_width + 31) / 32;
    for (const uint32_t type : {powerinfer::F16, powerinfer::Q8_0, powerinfer::Q4_0}) {
      const std::vector<Matrices> blocks = matrices_of(s, {33, 96}, type, type, random);
      const uint32_t rows = s.row_count_max;
      const std::vector<float> hidden = rows_for(random, uint64_t{rows} * s.hidden_width);
      std::vector<uint32_t> scalar;
      for_each_isa([&](const powerinfer::Kernels&, uint32_t isa) {
        note(std::string(name_of(type)) + ", " + std::to_string(ffn_width) + " neurons, " + kIsaNames[isa]);
        const TestPredictor predictor(s, Builtin{"low_rank"});
        set_all(predictor, blocks, true, isa);
        const std::vector<uint32_t> together = select(predictor, s, 0, 1, hidden);
        for (const uint32_t threads : {1u, 3u}) {
          uint32_t cpu = 0;
          CHECK_OK(powerinfer_cpu_open(threads, 0, &cpu));
          CHECK(select(predictor, s, cpu, 1, hidden) == together);
          CHECK_OK(powerinfer_cpu_close(cpu));
        }
        for (uint32_t row = 0; row < rows; ++row) {
          const auto begin = hidden.begin() + row * s.hidden_width;
          const std::vector<uint32_t> alone = select(predictor, s, 0, 1, {begin, begin + s.hidden_width});
          CHECK(std::equal(alone.begin(), alone.end(), together.begin() + row * words));
        }
        if (isa == POWERINFER_ISA_SCALAR) scalar = together;
        else if (type != powerinfer::F16) CHECK(together == scalar);
      });
    }
  }
}

TEST("low_rank: reads the residual where it is to, and says if nobody knows it (seed 65)") {
  Random random(65);
  const powerinfer_model_shape s = shape_of(256, 40);
  const std::vector<Matrices> blocks = matrices_of(s, {32}, powerinfer::F16, powerinfer::F16, random);
  const TestPredictor of_hidden(s, Builtin{"low_rank"}), of_residual(s, Builtin{"low_rank"});
  set_all(of_hidden, blocks, true, 0);
  CHECK_OK(of_residual.option("residual", 1, POWERINFER_OPTION_BOOLEAN));
  set_all(of_residual, blocks, true, 0);
  const std::vector<float> hidden = rows_for(random, 2 * s.hidden_width), residual = rows_for(random, 2 * s.hidden_width);
  std::vector<uint32_t> active(4);
  CHECK_OK(powerinfer_predictor_select(of_residual.handle, 0, 1, hidden.data(), residual.data(), 2, active.data()));
  CHECK(active == select(of_hidden, s, 0, 1, residual));
  CHECK_STATUS(powerinfer_predictor_select(of_residual.handle, 0, 1, hidden.data(), nullptr, 2, active.data()), POWERINFER_PLUGIN_FAILED);
  CHECK_EQUAL(last_error(), std::string("Cannot select neurons: low_rank failed in select: it reads the residual, which this device does not tell"));
}

TEST("low_rank: of rank 0, and beside NaNs, the thresholds alone decide (seed 63)") {
  Random random(63);
  const powerinfer_model_shape s = shape_of(256, 40);
  std::vector<Matrices> blocks = matrices_of(s, {0, 32}, powerinfer::Q8_0, powerinfer::Q8_0, random);
  for (uint32_t n = 0; n < s.ffn_width; ++n) blocks[0].thresholds[n] = n % 3 == 0 ? -1.0f : n % 3 == 1 ? 0.0f : NAN;
  const TestPredictor predictor(s, Builtin{"low_rank"});
  set_all(predictor, blocks, false, 0);
  const std::vector<uint32_t> active = select(predictor, s, 0, 0, rows_for(random, s.hidden_width));
  for (uint32_t n = 0; n < s.ffn_width; ++n) CHECK_EQUAL(active[n / 32] >> n % 32 & 1, uint32_t{n % 3 == 0});
  std::vector<float> broken = rows_for(random, s.hidden_width);
  broken[7] = NAN;
  CHECK(select(predictor, s, 0, 1, broken) == std::vector<uint32_t>(2, 0u));
}

TEST("low_rank: refuses settings that do not fit, and then takes mended ones (seed 64)") {
  Random random(64);
  const powerinfer_model_shape s = shape_of(32, 40);
  const std::vector<Matrices> blocks = matrices_of(s, {32}, powerinfer::Q8_0, powerinfer::Q8_0, random);
  const TestPredictor predictor(s, Builtin{"low_rank"});
  const auto refused = [&](const std::string& words) {
    CHECK_STATUS(predictor.open(), POWERINFER_PLUGIN_FAILED);
    CHECK_EQUAL(last_error(), "Cannot open the predictor: low_rank failed in open: " + words);
  };
  refused("there is no number rank.0");
  for (uint32_t block = 0; block < s.block_count; ++block) blocks[block].give(predictor, block);
  CHECK_OK(predictor.option("rank.0", 1.5));
  refused("rank.0 is 1.5; it must be a whole number from 0 to 1048576");
  CHECK_OK(predictor.option("rank.0", 64));
  refused("the array down.0 has 1088 bytes; it must have 2176");
  CHECK_OK(predictor.option("rank.0", 32));
  CHECK_OK(predictor.option("up_type.1", 9));
  refused("up_type.1 is 9, a type that the library does not multiply");
  CHECK_OK(predictor.option("up_type.1", powerinfer::Q8_0));
  CHECK_OK(predictor.option("down_type.1", powerinfer::Q4_K));
  refused("down_type.1 is 12, whose blocks do not divide hidden_width 32");
  CHECK_OK(predictor.option("down_type.1", powerinfer::Q8_0));
  CHECK_OK(predictor.option("isa", 9));
  refused("this CPU has no instruction set 9");
  CHECK_OK(predictor.option("isa", 0));
  CHECK_OK(predictor.open());
}

TEST("powerinfer_plugin_builtin: opens by name, says what there is, and is read like any plugin") {
  uint32_t plugin = 0;
  CHECK_STATUS(builtin_plugin("low_rink", &plugin), POWERINFER_UNSUPPORTED);
  CHECK(last_error().find("there is none of that name; there are low_rank") != std::string::npos);
  CHECK_STATUS(powerinfer_plugin_builtin(nullptr, 3, &plugin), POWERINFER_INVALID_ARGUMENT);
  CHECK_STATUS(powerinfer_plugin_builtin("low_rank", 8, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_OK(builtin_plugin("low_rank", &plugin));
  powerinfer_plugin_facts facts{};
  facts.struct_size = sizeof facts;
  CHECK_OK(powerinfer_plugin_read(plugin, &facts));
  CHECK_EQUAL(facts.provides, uint32_t{POWERINFER_PLUGIN_PREDICTOR | POWERINFER_PLUGIN_SELECTS_CPU});
  char name[64];
  uint32_t length = 0;
  CHECK_OK(powerinfer_plugin_name(plugin, name, sizeof name, &length));
  CHECK_EQUAL(std::string(name, length), std::string("low_rank"));
  CHECK_OK(powerinfer_plugin_close(plugin));
}

}  // namespace
}  // namespace powerinfer_test
