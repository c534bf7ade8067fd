// Goal: a trainer's gradient is that of its loss, its update is AdamW's, it learns what can be learned, and threads change no bit.
// Method: the gradient is read off one step whose update is its sign (β = 0, tiny ε) or, scaled, itself; finite differences of the loss in double.
#include <cstring>

#include "../include/powerinfer_train.h"
#include "../train/kernels.h"
#include "kernel_inputs.h"
#include "tiny_model.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

struct Data {
  uint32_t hidden_width, rank, ffn_width, row_count;
  std::vector<float> hidden, weights;
  std::vector<uint8_t> codes;
  std::vector<uint32_t> rows;
};

Data some_data(uint32_t hidden_width, uint32_t rank, uint32_t ffn_width, uint32_t row_count, Random& random) {
  Data d{hidden_width, rank, ffn_width, row_count, std::vector<float>(row_count * hidden_width), std::vector<float>(256), std::vector<uint8_t>(row_count * ffn_width), {}};
  for (float& value : d.hidden) value = random.uniform(-1, 1);
  for (float& value : d.weights) value = random.uniform(0.5f, 2);
  for (uint8_t& code : d.codes) code = random.below(3) ? 0 : static_cast<uint8_t>(1 + random.below(255));
  for (uint32_t row = row_count; row-- > 0;) d.rows.push_back(row);
  return d;
}

struct Parameters {
  std::vector<float> part[3];
};

Parameters some_parameters(const Data& d, Random& random) {
  Parameters p;
  const uint32_t counts[3] = {d.rank * d.hidden_width, d.ffn_width * d.rank, d.ffn_width};
  for (uint32_t part = 0; part < 3; ++part)
    for (uint32_t i = 0; i < counts[part]; ++i) p.part[part].push_back(random.uniform(-0.7f, 0.7f));
  return p;
}

powerinfer_trainer_options options_of(const Data& d, uint32_t relu) {
  return {sizeof(powerinfer_trainer_options), d.hidden_width, d.rank, d.ffn_width, d.row_count, relu, 0.9f, 0.99f, 1e-8f, 0};
}

class OpenTrainer {
 public:
  OpenTrainer(uint32_t isa, uint32_t threads, const powerinfer_trainer_options& options) {
    CHECK_OK(powerinfer_cpu_open(threads, isa, &cpu_));
    CHECK_OK(powerinfer_trainer_open(cpu_, &options, &handle));
  }
  OpenTrainer(const OpenTrainer&) = delete;
  OpenTrainer& operator=(const OpenTrainer&) = delete;
  ~OpenTrainer() {
    CHECK_OK(powerinfer_trainer_close(handle));
    CHECK_OK(powerinfer_cpu_close(cpu_));
  }
  void write(const Parameters& p) {
    for (uint32_t part = 0; part < 3; ++part) CHECK_OK(powerinfer_trainer_write(handle, part, p.part[part].data(), static_cast<uint32_t>(p.part[part].size())));
  }
  Parameters read(const Parameters& like) {
    Parameters p = like;
    for (uint32_t part = 0; part < 3; ++part) CHECK_OK(powerinfer_trainer_read(handle, part, p.part[part].data(), static_cast<uint32_t>(p.part[part].size())));
    return p;
  }
  double step(const Data& d, float rate) {
    double loss = -1;
    CHECK_OK(powerinfer_trainer_step(handle, d.hidden.data(), d.codes.data(), d.row_count, d.rows.data(), d.row_count, d.weights.data(), rate, &loss));
    return loss;
  }
  uint32_t handle = 0;

 private:
  uint32_t cpu_ = 0;
};

// The loss by its formula.
double loss_of(const Data& d, const Parameters& p, uint32_t relu) {
  double loss = 0;
  for (uint32_t row = 0; row < d.row_count; ++row) {
    std::vector<double> thin(d.rank, 0.0);
    for (uint32_t r = 0; r < d.rank; ++r) {
      for (uint32_t i = 0; i < d.hidden_width; ++i) thin[r] += double{p.part[0][r * d.hidden_width + i]} * d.hidden[row * d.hidden_width + i];
      if (relu) thin[r] = std::max(thin[r], 0.0);
    }
    for (uint32_t n = 0; n < d.ffn_width; ++n) {
      double s = p.part[2][n];
      for (uint32_t r = 0; r < d.rank; ++r) s += p.part[1][n * d.rank + r] * thin[r];
      const uint8_t code = d.codes[row * d.ffn_width + n];
      loss += d.weights[code] * (std::log1p(std::exp(-std::abs(s))) + std::max(s, 0.0) - (code > 0 ? s : 0));
    }
  }
  return loss / d.row_count / d.ffn_width;
}

template <class F>
void for_each_isa_number(F&& f) {
  for_each_isa([&](const Kernels&, uint32_t isa) {
    note(kIsaNames[isa]);
    f(isa);
  });
  note("");
}

}  // namespace

TEST("powerinfer_trainer_step: its loss is the formula's, its gradient that of finite differences (seed 41)") {
  Random random(41);
  const Data d = some_data(11, 5, 37, 9, random);
  const Parameters p = some_parameters(d, random);
  for (const uint32_t relu : {0u, 1u})
    for_each_isa_number([&](uint32_t isa) {
      // With β1 = 0 and an ε far above the gradient a step moves a parameter by rate / ε · gradient. The trainer's gradient is not divided by the number of neurons.
      powerinfer_trainer_options options = options_of(d, relu);
      options.beta1 = options.beta2 = 0;
      options.epsilon = 1e6f;
      OpenTrainer trainer(isa, 2, options);
      trainer.write(p);
      CHECK_NEAR(trainer.step(d, 1e6f), loss_of(d, p, relu), 2e-6);
      const Parameters after = trainer.read(p);
      for (uint32_t part = 0; part < 3; ++part)
        for (uint32_t at = 0; at < p.part[part].size(); at += 1 + at % 3) {
          constexpr float kStep = 0x1p-9f;
          Parameters up = p, down = p;
          up.part[part][at] += kStep;
          down.part[part][at] -= kStep;
          const double slope = (loss_of(d, up, relu) - loss_of(d, down, relu)) / (double{up.part[part][at]} - down.part[part][at]) * d.ffn_width;
          // A relu may open within the difference; that is rare and its kink small.
          CHECK_NEAR(p.part[part][at] - after.part[part][at], slope, relu ? 1e-3 : 2e-5);
        }
    });
}

TEST("powerinfer_trainer_step: gives the same bits for 1, 2 and 3 threads, over several steps (seed 42)") {
  Random random(42);
  const Data d = some_data(70, 33, 300, 41, random);
  const Parameters p = some_parameters(d, random);
  for_each_isa_number([&](uint32_t isa) {
    Parameters first;
    std::vector<float> first_scores;
    for (const uint32_t threads : {1u, 2u, 3u}) {
      OpenTrainer trainer(isa, threads, options_of(d, 1));
      trainer.write(p);
      for (uint32_t i = 0; i < 4; ++i) trainer.step(d, 1e-2f);
      const Parameters after = trainer.read(p);
      std::vector<float> scores(d.row_count * d.ffn_width);
      CHECK_OK(powerinfer_trainer_scores(trainer.handle, d.hidden.data(), d.row_count, scores.data()));
      if (threads == 1) first = after, first_scores = scores;
      for (uint32_t part = 0; part < 3; ++part) CHECK(after.part[part] == first.part[part]);
      CHECK(scores == first_scores);
    }
    CHECK(first.part[0] != p.part[0]);
  });
}

TEST("powerinfer_trainer_step: learns which neurons of a linear gate fire (seed 43)") {
  Random random(43);
  Data d = some_data(8, 8, 24, 256, random);
  d.weights.assign(256, 1.0f);
  std::vector<float> gate(d.ffn_width * d.hidden_width);
  for (float& value : gate) value = random.uniform(-1, 1);
  for (uint32_t row = 0; row < d.row_count; ++row)
    for (uint32_t n = 0; n < d.ffn_width; ++n) {
      float sum = 0;
      for (uint32_t i = 0; i < d.hidden_width; ++i) sum += gate[n * d.hidden_width + i] * d.hidden[row * d.hidden_width + i];
      d.codes[row * d.ffn_width + n] = sum > 0.3f ? 200 : 0;
    }
  OpenTrainer trainer(POWERINFER_ISA_AUTO, 2, options_of(d, 0));
  trainer.write(some_parameters(d, random));
  const double before = trainer.step(d, 0.03f);
  for (uint32_t i = 0; i < 400; ++i) trainer.step(d, 0.03f);
  std::vector<float> scores(d.codes.size());
  CHECK_OK(powerinfer_trainer_scores(trainer.handle, d.hidden.data(), d.row_count, scores.data()));
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < scores.size(); ++i) wrong += (scores[i] > 0) != (d.codes[i] > 0);
  CHECK(trainer.step(d, 0.03f) < before / 10);
  CHECK(wrong < scores.size() / 50);
}

TEST("powerinfer_trainer_scores: takes more rows than a step (seed 44)") {
  Random random(44);
  const Data d = some_data(6, 3, 17, 23, random);
  const Parameters p = some_parameters(d, random);
  powerinfer_trainer_options options = options_of(d, 1);
  std::vector<float> expected(d.row_count * d.ffn_width), scores(expected);
  {
    OpenTrainer trainer(POWERINFER_ISA_AUTO, 1, options);
    trainer.write(p);
    CHECK_OK(powerinfer_trainer_scores(trainer.handle, d.hidden.data(), d.row_count, expected.data()));
  }
  options.row_count_max = 5;
  OpenTrainer trainer(POWERINFER_ISA_AUTO, 1, options);
  trainer.write(p);
  CHECK_OK(powerinfer_trainer_scores(trainer.handle, d.hidden.data(), d.row_count, scores.data()));
  CHECK(scores == expected);
}

TEST("cross_entropy: every instruction set stays near the scalar definition, extreme scores included (seed 45)") {
  Random random(45);
  for (const uint32_t count : {1u, 7u, 8u, 9u, 16u, 33u, 250u}) {
    const Data d = some_data(1, 1, count, 1, random);
    std::vector<float> scores(count);
    for (float& score : scores) score = random.below(4) ? random.uniform(-6, 6) : random.uniform(-1000, 1000);
    std::vector<float> expected = scores;
    const double loss = train_kernels_for(POWERINFER_ISA_SCALAR).cross_entropy({d.codes.data(), d.weights.data(), expected.data(), count, 0.5f});
    for_each_isa_number([&](uint32_t isa) {
      std::vector<float> gradient = scores;
      CHECK_NEAR(train_kernels_for(isa).cross_entropy({d.codes.data(), d.weights.data(), gradient.data(), count, 0.5f}), loss, 1e-6 * (loss + count));
      for (uint32_t n = 0; n < count; ++n) CHECK_NEAR(gradient[n], expected[n], 4e-7);
    });
  }
}

TEST("adamw: every instruction set stays near the formula in double (seed 46)") {
  Random random(46);
  for (const uint32_t count : {1u, 8u, 9u, 16u, 65u}) {
    std::vector<float> start[4];
    for (auto& values : start)
      for (uint32_t i = 0; i < count; ++i) values.push_back(random.uniform(-1, 1));
    for (float& square : start[3]) square = std::abs(square);
    for_each_isa_number([&](uint32_t isa) {
      std::vector<float> p = start[0], m = start[2], v = start[3];
      train_kernels_for(isa).adamw({p.data(), start[1].data(), m.data(), v.data(), count, 0.1f, 0.9f, 0.99f, 1e-3f, 0.2f, 1.5f, 2.5f});
      for (uint32_t i = 0; i < count; ++i) {
        const double g = start[1][i], mean = 0.9 * start[2][i] + 0.1 * g, square = 0.99 * start[3][i] + 0.01 * g * g;
        CHECK_NEAR(m[i], mean, 1e-6);
        CHECK_NEAR(v[i], square, 1e-6);
        CHECK_NEAR(p[i], start[0][i] - 0.1 * (mean * 1.5 / (std::sqrt(square * 2.5) + 1e-3) + 0.2 * start[0][i]), 2e-6);
      }
    });
  }
}

TEST("powerinfer_trainer: refuses options, parts and rows that cannot be") {
  Random random(47);
  const Data d = some_data(3, 2, 5, 4, random);
  uint32_t cpu = 0, trainer = 0;
  CHECK_OK(powerinfer_cpu_open(1, POWERINFER_ISA_AUTO, &cpu));
  const auto refused = [&](auto&& spoil) {
    powerinfer_trainer_options options = options_of(d, 1);
    spoil(options);
    CHECK_EQUAL(powerinfer_trainer_open(cpu, &options, &trainer), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  };
  refused([](auto& o) { o.struct_size = 3; });
  refused([](auto& o) { o.hidden_width = 0; });
  refused([](auto& o) { o.rank = ~0u; });
  refused([](auto& o) { o.ffn_width = 0; });
  refused([](auto& o) { o.row_count_max = ~0u; });
  refused([](auto& o) { o.relu = 2; });
  refused([](auto& o) { o.beta2 = 1; });
  refused([](auto& o) { o.epsilon = 0; });
  refused([](auto& o) { o.weight_decay = NAN; });
  const powerinfer_trainer_options options = options_of(d, 1);
  CHECK_OK(powerinfer_trainer_open(cpu, &options, &trainer));
  float value = 0;
  CHECK_EQUAL(powerinfer_trainer_read(trainer, 3, &value, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(powerinfer_trainer_write(trainer, POWERINFER_TRAINER_BIAS, &value, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  double loss = 7;
  const auto step = [&](const uint32_t* rows, uint32_t row_count, float rate) {
    return powerinfer_trainer_step(trainer, d.hidden.data(), d.codes.data(), d.row_count, rows, row_count, d.weights.data(), rate, &loss);
  };
  const uint32_t beyond[2] = {0, 4};
  CHECK_EQUAL(step(beyond, 2, 0.1f), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(step(d.rows.data(), 0, 0.1f), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(step(d.rows.data(), 5, 0.1f), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(step(nullptr, 1, 0.1f), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(step(d.rows.data(), 1, NAN), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(loss, 7.0);
  CHECK_EQUAL(powerinfer_trainer_scores(trainer, nullptr, 1, &value), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_OK(powerinfer_trainer_close(trainer));
  CHECK_EQUAL(step(d.rows.data(), 1, 0.1f), powerinfer_status{POWERINFER_INVALID_HANDLE});
  CHECK_OK(powerinfer_cpu_close(cpu));
}
