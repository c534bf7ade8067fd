// The obvious forward pass: one token at a time, in double, one loop after the other. Shares no code with the engine.
#include "forward_oracle.h"

#include <algorithm>
#include <cmath>

#include "../cpu/kernels.h"
#include "../quant/half.h"

namespace powerinfer_test {
namespace {

constexpr uint32_t kNoBias = ~0u;

double activate(uint32_t activation, double x) {
  if (activation == POWERINFER_ACTIVATION_RELU) return std::max(x, 0.0);
  if (activation == POWERINFER_ACTIVATION_RELU_SQUARED) return std::max(x, 0.0) * std::max(x, 0.0);
  if (activation == POWERINFER_ACTIVATION_SILU) return x / (1 + std::exp(-x));
  if (activation == POWERINFER_ACTIVATION_GELU) return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  return x;
}

// What weights of `type` multiply: x itself, or x rounded to 127 or 32767 steps of the largest of every 32 values, as kernels.h defines it.
Doubles as_seen_by(uint32_t type, const Doubles& x) {
  uint32_t isa = POWERINFER_ISA_SCALAR;
  const powerinfer::Form form = powerinfer::kernels_for(isa)->form[type];
  if (form == powerinfer::Form::kValues) return x;
  Doubles rounded(x.size());
  for (size_t begin = 0; begin < x.size(); begin += 32) {
    double largest = 0;
    for (size_t i = begin; i < begin + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    const double scale = largest / (form == powerinfer::Form::kBytes ? 127 : 32767);
    for (size_t i = begin; i < begin + 32; ++i) rounded[i] = scale == 0 ? 0 : std::round(x[i] / scale) * scale;
  }
  return rounded;
}

}  // namespace

Doubles Oracle::multiply(uint32_t role, uint32_t block, const Doubles& x, uint32_t bias_role) const {
  const Tensor& weight = *tiny_.find(role, block);
  const Tensor* const bias = bias_role == kNoBias ? nullptr : tiny_.find(bias_role, block);
  const Doubles seen = rounds ? as_seen_by(weight.type, x) : x;
  Doubles out(weight.rows);
  for (uint32_t row = 0; row < weight.rows; ++row) {
    for (uint32_t i = 0; i < weight.width; ++i) out[row] += weight.weights[uint64_t{row} * weight.width + i] * seen[i];
    if (bias != nullptr) out[row] += bias->weights[row];
  }
  return out;
}

Doubles Oracle::norm(const Doubles& x, uint32_t role, uint32_t bias_role, uint32_t block) const {
  const Tensor& weight = *tiny_.find(role, block);
  const Tensor* const bias = tiny_.find(bias_role, block);
  double mean = 0, square = 0;
  if (s_.norm == POWERINFER_NORM_LAYER) {
    for (double value : x) mean += value / static_cast<double>(x.size());
  }
  for (double value : x) square += (value - mean) * (value - mean) / static_cast<double>(x.size());
  Doubles out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = (x[i] - mean) / std::sqrt(square + s_.norm_epsilon) * weight.weights[i] + (bias == nullptr ? 0 : bias->weights[i]);
  }
  return out;
}

void Oracle::finish_head(double* head, uint32_t norm_role, uint32_t block) const {
  if (const Tensor* const weight = tiny_.find(norm_role, block)) {
    double square = 0;
    for (uint32_t i = 0; i < s_.head_width; ++i) square += head[i] * head[i] / s_.head_width;
    for (uint32_t i = 0; i < s_.head_width; ++i) head[i] *= weight->weights[i] / std::sqrt(square + s_.norm_epsilon);
  }
  for (uint32_t i = 0; i < s_.rope_width / 2; ++i) {
    const bool interleaved = s_.rope == POWERINFER_ROPE_INTERLEAVED;
    double& a = head[interleaved ? 2 * i : i];
    double& b = head[interleaved ? 2 * i + 1 : i + s_.rope_width / 2];
    const double angle = position_ * static_cast<double>(tiny_.inverse_frequencies[i]);
    const double turned = a * std::cos(angle) - b * std::sin(angle);
    b = a * std::sin(angle) + b * std::cos(angle);
    a = turned;
  }
}

Doubles Oracle::cached(Doubles values) const {
  const auto half = [](double value) { return static_cast<double>(powerinfer::float_from_f16(powerinfer::f16_from_float(static_cast<float>(value)))); };
  if (cache_type_ == POWERINFER_CACHE_F16) std::transform(values.begin(), values.end(), values.begin(), half);
  if (cache_type_ != POWERINFER_CACHE_Q8_0) return values;
  for (size_t block = 0; block < values.size(); block += 32) {
    double largest = 0;
    for (size_t i = block; i < block + 32; ++i) largest = std::max(largest, std::abs(values[i]));
    for (size_t i = block; i < block + 32 && largest > 0; ++i) values[i] = std::nearbyint(values[i] * 127 / largest) * half(largest / 127);
  }
  return values;
}

Doubles Oracle::attention(uint32_t block, const Doubles& x) {
  Doubles q = multiply(POWERINFER_Q, block, x, POWERINFER_Q_BIAS);
  Doubles k = multiply(POWERINFER_K, block, x, POWERINFER_K_BIAS);
  Doubles v = multiply(POWERINFER_V, block, x, POWERINFER_V_BIAS);
  for (uint32_t h = 0; h < s_.head_count; ++h) finish_head(&q[h * s_.head_width], POWERINFER_Q_NORM, block);
  for (uint32_t h = 0; h < s_.kv_head_count; ++h) finish_head(&k[h * s_.head_width], POWERINFER_K_NORM, block);
  k = cached(k);
  v = cached(v);
  keys_[block].push_back(k);
  values_[block].push_back(v);

  Doubles attended(q.size());
  for (uint32_t h = 0; h < s_.head_count; ++h) {
    const uint32_t kv = h / (s_.head_count / s_.kv_head_count) * s_.head_width;
    const double* const query = &q[h * s_.head_width];
    Doubles weights;
    double total = 0;
    for (const Doubles& key : keys_[block]) {
      double dot = 0;
      for (uint32_t i = 0; i < s_.head_width; ++i) dot += query[i] * key[kv + i];
      weights.push_back(std::exp(dot / std::sqrt(s_.head_width)));
      total += weights.back();
    }
    for (size_t p = 0; p < weights.size(); ++p) {
      for (uint32_t i = 0; i < s_.head_width; ++i) attended[h * s_.head_width + i] += weights[p] / total * values_[block][p][kv + i];
    }
  }
  return multiply(POWERINFER_ATTENTION_OUTPUT, block, attended, POWERINFER_ATTENTION_OUTPUT_BIAS);
}

Doubles Oracle::activations(uint32_t block, const Doubles& ffn_input) const {
  Doubles out = multiply(POWERINFER_UP, block, ffn_input, POWERINFER_UP_BIAS);
  for (double& value : out) value = activate(s_.up_activation, value);
  if (!s_.gated) return out;
  const Doubles gate = multiply(POWERINFER_GATE, block, ffn_input, kNoBias);
  for (size_t n = 0; n < out.size(); ++n) out[n] *= activate(s_.gate_activation, gate[n]);
  return out;
}

Doubles Oracle::down(uint32_t block, const Doubles& activations, bool by_rows) const {
  // Repacked, the weights multiply what they multiply by rows.
  if ((by_rows && tiny_.options.down_by_rows) || tiny_.options.down_repacked) return multiply(POWERINFER_DOWN, block, activations, kNoBias);
  Doubles out(s_.hidden_width);
  const Tensor* const rows = tiny_.find(POWERINFER_DOWN, block);
  const Tensor* const neurons = tiny_.find(POWERINFER_DOWN_BY_NEURON, block);
  for (uint32_t n = 0; n < s_.ffn_width; ++n) {
    for (uint32_t i = 0; i < s_.hidden_width; ++i) {
      out[i] += activations[n] * (rows != nullptr ? rows->weights[uint64_t{i} * s_.ffn_width + n] : neurons->weights[uint64_t{n} * s_.hidden_width + i]);
    }
  }
  return out;
}

Doubles Oracle::step(uint32_t token) {
  const Tensor& embedding = *tiny_.find(POWERINFER_TOKEN_EMBEDDING);
  Doubles x(embedding.weights.begin() + uint64_t{token} * s_.hidden_width, embedding.weights.begin() + (uint64_t{token} + 1) * s_.hidden_width);
  if (const Tensor* const learned = tiny_.find(POWERINFER_POSITION_EMBEDDING)) {
    for (uint32_t i = 0; i < s_.hidden_width; ++i) x[i] += learned->weights[uint64_t{position_ + s_.position_offset} * s_.hidden_width + i];
  }
  ffn_inputs.clear();
  for (uint32_t block = 0; block < s_.block_count; ++block) {
    const Doubles block_input = x;
    const Doubles attended = attention(block, norm(x, POWERINFER_ATTENTION_NORM, POWERINFER_ATTENTION_NORM_BIAS, block));
    for (size_t i = 0; i < x.size(); ++i) x[i] += attended[i];
    ffn_inputs.push_back(norm(s_.parallel ? block_input : x, POWERINFER_FFN_NORM, POWERINFER_FFN_NORM_BIAS, block));
    const Doubles ffn = down(block, activations(block, ffn_inputs.back()), !sparse);
    const Tensor* const bias = tiny_.find(POWERINFER_DOWN_BIAS, block);
    for (size_t i = 0; i < x.size(); ++i) x[i] += ffn[i] + (bias == nullptr ? 0 : bias->weights[i]);
  }
  ++position_;
  return multiply(POWERINFER_OUTPUT, 0, norm(x, POWERINFER_OUTPUT_NORM, POWERINFER_OUTPUT_NORM_BIAS, 0), POWERINFER_OUTPUT_BIAS);
}

}  // namespace powerinfer_test
