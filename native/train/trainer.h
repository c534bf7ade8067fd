// How do two thin matrices learn which neurons fire?
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "../cpu/cpu.h"
#include "../include/powerinfer_train.h"
#include "gemm.h"

namespace powerinfer {

// scores = fc2 · g(fc1 · x) + bias, trained by AdamW on weighted cross-entropy. g is relu or nothing.
class Trainer {
 public:
  Trainer(std::shared_ptr<Cpu> cpu, const powerinfer_trainer_options& options);

  // One step on some rows of the data; returns the loss per row and neuron before it.
  double step(const float* hidden, const uint8_t* codes, const uint32_t* rows, uint32_t row_count, const float* weights, float rate);
  // f32[row_count, ffn_width]
  void scores(const float* hidden, uint32_t row_count, float* scores);

  const powerinfer_trainer_options options;
  Cpu& cpu() const { return *cpu_; }
  // Of a part (POWERINFER_TRAINER_x): where it lies, and how many values it has.
  struct Part {
    float* values;
    uint64_t count;
  };
  Part part(uint32_t part) const;

  std::mutex busy;

 private:
  // x f32[row_count, hidden_width] → thin_ f32[row_count, rank], scores f32[row_count, ffn_width]
  void forward(const float* x, uint32_t row_count, float* scores);
  // thin_gradient_ of neurons that the relu shut is zero.
  void backward_relu(uint32_t row_count);
  void add_up_bias_gradient(uint32_t row_count);
  void update(float rate);

  const std::shared_ptr<Cpu> cpu_;
  const TrainKernels& kernels_;
  const uint64_t fc1_count_, fc2_count_, parameter_count_;
  const Multiplier multiplier_;
  Buffer<float> parameters_, gradient_, means_, squares_;  // fc1 f32[rank, hidden_width], fc2 f32[ffn_width, rank], bias f32[ffn_width]
  Buffer<float> x_;                     // f32[row_count_max, hidden_width]
  Buffer<float> thin_, thin_gradient_;  // f32[row_count_max, rank]
  Buffer<float> scores_;                // f32[row_count_max, ffn_width]; after cross_entropy their gradient
  std::vector<double> losses_;          // of each row
  double beta1_power_ = 1, beta2_power_ = 1;
};

}  // namespace powerinfer
