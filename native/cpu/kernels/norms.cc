// RMS and layer norm of one row.
#include <cmath>
#include "variants.h"

namespace powerinfer {

namespace {

// Σ f(x[i]) in double. Eight sums side by side, because one would wait for itself at every addition.
template <class F>
double sum_of(const float* x, uint32_t width, F&& f) {
  double sums[8] = {};
  uint32_t i = 0;
  for (; i + 8 <= width; i += 8)
    for (uint32_t j = 0; j < 8; ++j) sums[j] += f(static_cast<double>(x[i + j]));
  for (; i < width; ++i) sums[i % 8] += f(static_cast<double>(x[i]));
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

void rms_norm(const float* x, const float* weight, const float*, float epsilon, uint32_t width, float* out) {
  const double mean_square = sum_of(x, width, [](double value) { return value * value; }) / width;
  const float scale = static_cast<float>(1.0 / std::sqrt(mean_square + epsilon));
  for (uint32_t i = 0; i < width; ++i) out[i] = x[i] * scale * weight[i];
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, uint32_t width, float* out) {
  const double mean = sum_of(x, width, [](double value) { return value; }) / width;
  const double variance = sum_of(x, width, [mean](double value) { return (value - mean) * (value - mean); }) / width;
  const float scale = static_cast<float>(1.0 / std::sqrt(variance + epsilon));
  const float center = static_cast<float>(mean);
  for (uint32_t i = 0; i < width; ++i) out[i] = (x[i] - center) * scale * weight[i];
  if (bias)
    for (uint32_t i = 0; i < width; ++i) out[i] += bias[i];
}

}  // namespace powerinfer
