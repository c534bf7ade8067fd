// How do two thin matrices learn which neurons fire? Forward, backward and update of a batch, each spread over the threads; sums are taken in fixed orders.
#include "trainer.h"

#include <algorithm>

namespace powerinfer {
namespace {

// Parameters or columns that a thread takes at a time.
constexpr uint32_t kRun = 1u << 14, kColumnRun = 256;

uint32_t chunks(uint64_t count, uint32_t run) { return static_cast<uint32_t>((count + run - 1) / run); }

}  // namespace

Trainer::Trainer(std::shared_ptr<Cpu> cpu, const powerinfer_trainer_options& given)
    : options(given),
      cpu_(std::move(cpu)),
      kernels_(train_kernels_for(cpu_->isa)),
      fc1_count_(uint64_t{given.rank} * given.hidden_width),
      fc2_count_(uint64_t{given.rank} * given.ffn_width),
      parameter_count_(fc1_count_ + fc2_count_ + given.ffn_width),
      multiplier_(cpu_->pool, kernels_, std::max({given.hidden_width, given.rank, given.ffn_width})),
      parameters_(parameter_count_),
      gradient_(parameter_count_),
      means_(parameter_count_),
      squares_(parameter_count_),
      x_(uint64_t{given.row_count_max} * given.hidden_width),
      thin_(uint64_t{given.row_count_max} * given.rank),
      thin_gradient_(uint64_t{given.row_count_max} * given.rank),
      scores_(uint64_t{given.row_count_max} * given.ffn_width),
      losses_(given.row_count_max) {
  for (const Buffer<float>* values : {&parameters_, &means_, &squares_}) std::fill_n(values->get(), parameter_count_, 0.0f);
}

Trainer::Part Trainer::part(uint32_t part) const {
  if (part == POWERINFER_TRAINER_FC1) return {parameters_.get(), fc1_count_};
  if (part == POWERINFER_TRAINER_FC2) return {parameters_.get() + fc1_count_, fc2_count_};
  return {parameters_.get() + fc1_count_ + fc2_count_, options.ffn_width};
}

void Trainer::forward(const float* x, uint32_t row_count, float* scores) {
  const uint32_t hidden_width = options.hidden_width, rank = options.rank, ffn_width = options.ffn_width;
  const float* const bias = part(POWERINFER_TRAINER_BIAS).values;
  multiplier_.multiply({row_count, rank, hidden_width, plain(x, hidden_width), transposed(part(POWERINFER_TRAINER_FC1).values, hidden_width), thin_.get(), rank, false});
  cpu_->pool.for_each(row_count, [&](uint32_t row, uint32_t) {
    float* const thin = &thin_[uint64_t{row} * rank];
    if (options.relu) for (uint32_t i = 0; i < rank; ++i) thin[i] = std::max(thin[i], 0.0f);
    std::copy(bias, bias + ffn_width, scores + uint64_t{row} * ffn_width);
  });
  multiplier_.multiply({row_count, ffn_width, rank, plain(thin_.get(), rank), transposed(part(POWERINFER_TRAINER_FC2).values, rank), scores, ffn_width, true});
}

double Trainer::step(const float* hidden, const uint8_t* codes, const uint32_t* rows, uint32_t row_count, const float* weights, float rate) {
  const uint32_t hidden_width = options.hidden_width, rank = options.rank, ffn_width = options.ffn_width;
  cpu_->pool.for_each(row_count, [&](uint32_t row, uint32_t) {
    std::copy_n(hidden + uint64_t{rows[row]} * hidden_width, hidden_width, &x_[uint64_t{row} * hidden_width]);
  });
  forward(x_.get(), row_count, scores_.get());
  cpu_->pool.for_each(row_count, [&](uint32_t row, uint32_t) {
    losses_[row] = kernels_.cross_entropy(
        {codes + uint64_t{rows[row]} * ffn_width, weights, &scores_[uint64_t{row} * ffn_width], ffn_width, 1.0f / static_cast<float>(row_count)});
  });

  float* const fc1_gradient = gradient_.get();
  float* const fc2_gradient = fc1_gradient + fc1_count_;
  multiplier_.multiply({ffn_width, rank, row_count, transposed(scores_.get(), ffn_width), plain(thin_.get(), rank), fc2_gradient, rank, false});
  add_up_bias_gradient(row_count);
  multiplier_.multiply({row_count, rank, ffn_width, plain(scores_.get(), ffn_width), plain(part(POWERINFER_TRAINER_FC2).values, rank), thin_gradient_.get(), rank, false});
  if (options.relu) backward_relu(row_count);
  multiplier_.multiply({rank, hidden_width, row_count, transposed(thin_gradient_.get(), rank), plain(x_.get(), hidden_width), fc1_gradient, hidden_width, false});
  update(rate);

  double loss = 0;
  for (uint32_t row = 0; row < row_count; ++row) loss += losses_[row];
  return loss / row_count / ffn_width;
}

void Trainer::backward_relu(uint32_t row_count) {
  cpu_->pool.for_each(row_count, [&](uint32_t row, uint32_t) {
    const float* const thin = &thin_[uint64_t{row} * options.rank];
    float* const gradient = &thin_gradient_[uint64_t{row} * options.rank];
    for (uint32_t i = 0; i < options.rank; ++i) gradient[i] = thin[i] > 0 ? gradient[i] : 0.0f;
  });
}

void Trainer::add_up_bias_gradient(uint32_t row_count) {
  float* const sums = gradient_.get() + fc1_count_ + fc2_count_;
  cpu_->pool.for_each(chunks(options.ffn_width, kColumnRun), [&](uint32_t chunk, uint32_t) {
    const uint32_t begin = chunk * kColumnRun, end = std::min(begin + kColumnRun, options.ffn_width);
    std::fill(sums + begin, sums + end, 0.0f);
    for (uint32_t row = 0; row < row_count; ++row)
      for (uint32_t n = begin; n < end; ++n) sums[n] += scores_[uint64_t{row} * options.ffn_width + n];
  });
}

void Trainer::update(float rate) {
  beta1_power_ *= options.beta1;
  beta2_power_ *= options.beta2;
  const float mean_scale = static_cast<float>(1 / (1 - beta1_power_)), square_scale = static_cast<float>(1 / (1 - beta2_power_));
  // Matrices decay, the bias does not; a run lies in either.
  const auto run = [&](uint64_t begin, uint64_t end, float decay) {
    cpu_->pool.for_each(chunks(end - begin, kRun), [&](uint32_t chunk, uint32_t) {
      const uint64_t at = begin + uint64_t{chunk} * kRun;
      kernels_.adamw({&parameters_[at], &gradient_[at], &means_[at], &squares_[at], std::min<uint64_t>(kRun, end - at), rate, options.beta1, options.beta2,
                      options.epsilon, decay, mean_scale, square_scale});
    });
  };
  run(0, fc1_count_ + fc2_count_, options.weight_decay);
  run(fc1_count_ + fc2_count_, parameter_count_, 0);
}

void Trainer::scores(const float* hidden, uint32_t row_count, float* scores) {
  for (uint32_t row = 0; row < row_count; row += options.row_count_max) {
    const uint32_t count = std::min(options.row_count_max, row_count - row);
    forward(hidden + uint64_t{row} * options.hidden_width, count, scores + uint64_t{row} * options.ffn_width);
  }
}

}  // namespace powerinfer
