// What is in each tensor of a planted model, row after row?
#include "planted_file.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "../../quant/half.h"
#include "planted_activity.h"

namespace powerinfer_check {
namespace {

constexpr uint64_t kSeed = 1;
constexpr uint32_t kConstantWidth = 32;  // channels: a whole block of every type
constexpr double kConstantEnergy = 0.25;  // of the constant channels, relative to all others
constexpr double kGrowth = 0.1;           // of the residual stream's variance, over all blocks
constexpr double kLogitSpread = 3;        // far from uniform, far from certain

std::runtime_error cannot_write(const std::string& what) { return std::runtime_error("Cannot write the model: " + what + ": " + std::strerror(errno)); }

}  // namespace

PlantedFile::PlantedFile(const powerinfer_model_shape& shape, const PlantedType& type, const std::vector<double>& firing_shares, const std::string& path)
    : shape_(shape), type_(type), firing_shares_(firing_shares), pool_(type, kSeed), random_(kSeed + 1), file_(std::fopen(path.c_str(), "wb"), std::fclose),
      constant_(std::sqrt(kConstantEnergy * shape.hidden_width / kConstantWidth)), half_block_growth_(kGrowth / (2 * shape.block_count)) {
  if (!file_) throw cannot_write(path);
  double energy = 0;
  for (const double share : firing_shares) {
    thresholds_.push_back(exceeded_with(share));
    energy += energy_above(thresholds_.back());
  }
  // An RMS norm scales all channels to a mean square of 1, the constant ones among them.
  activation_energy_ = energy / static_cast<double>(firing_shares.size()) / (1 + kConstantEnergy);
}

void PlantedFile::put(const void* bytes, uint64_t size_bytes) {
  if (std::fwrite(bytes, 1, size_bytes, file_.get()) != size_bytes) throw cannot_write("after " + std::to_string(written_bytes_) + " bytes");
  written_bytes_ += size_bytes;
}

void PlantedFile::close() {
  if (std::fclose(file_.release()) != 0) throw cannot_write("at its end");
}

void PlantedFile::write(const PlantedTensor& tensor) {
  const std::vector<uint8_t> padding(tensor.offset_bytes - written_bytes_);
  put(padding.data(), padding.size());
  const double width = tensor.width;
  switch (tensor.role) {
    case POWERINFER_TOKEN_EMBEDDING: return write_table(tensor, 1, constant_);
    case POWERINFER_OUTPUT: return write_table(tensor, kLogitSpread / std::sqrt(width), 0);
    case POWERINFER_GATE: return write_gate(tensor);
    case POWERINFER_ATTENTION_OUTPUT: return write_random(tensor, std::sqrt(half_block_growth_ / width), true, false);
    case POWERINFER_DOWN_BY_NEURON: return write_random(tensor, std::sqrt(half_block_growth_ / (shape_.ffn_width * activation_energy_)), false, true);
    case POWERINFER_Q:
    case POWERINFER_K:
    case POWERINFER_V:
    case POWERINFER_UP: return write_random(tensor, 1 / std::sqrt(width), false, false);
    default: {  // the weights of norms
      const std::vector<float> ones(tensor.width, 1);
      put(ones.data(), ones.size() * sizeof(float));
    }
  }
}

void PlantedFile::write_rows(const PlantedTensor& tensor, const std::function<void(uint32_t, uint8_t*)>& row) {
  std::vector<uint8_t> bytes(type_.bytes(tensor.width));
  for (uint32_t n = 0; n < tensor.rows; ++n) {
    row(n, bytes.data());
    put(bytes.data(), bytes.size());
  }
}

void PlantedFile::write_table(const PlantedTensor& tensor, double spread, double constant) {
  std::vector<float> values(tensor.width);
  write_rows(tensor, [&](uint32_t, uint8_t* to) {
    pool_.fill(values.data(), tensor.width, spread, random_);
    std::fill_n(values.begin(), kConstantWidth, static_cast<float>(constant));
    encode(type_, values.data(), tensor.width, to);
  });
}

void PlantedFile::write_random(const PlantedTensor& tensor, double spread, bool zero_rows, bool zero_channels) {
  const uint64_t row_bytes = type_.bytes(tensor.width);
  write_rows(tensor, [&](uint32_t n, uint8_t* to) {
    std::memcpy(to, pool_.row(tensor.width, spread, random_), row_bytes);
    // A block of zero bytes is zeros in every type.
    if (zero_channels) std::memset(to, 0, type_.bytes(kConstantWidth));
    if (zero_rows && n < kConstantWidth) std::memset(to, 0, row_bytes);
  });
}

void PlantedFile::write_gate(const PlantedTensor& tensor) {
  const uint32_t width = tensor.width, rank = kDirections + 1;
  const uint64_t row_bytes = type_.bytes(width), constant_bytes = type_.bytes(kConstantWidth);
  // Of the varying channels in this block, relative to the constant ones.
  const double variance = 1 + half_block_growth_ * (2 * tensor.block + 1);

  PlantedPredictor predictor{std::vector<uint16_t>(uint64_t{rank} * width), std::vector<uint16_t>(uint64_t{tensor.rows} * rank)};
  std::vector<const uint8_t*> directions(kDirections);
  std::vector<double> input_spreads(kDirections);  // standard deviation of a direction's product with the varying channels
  std::vector<float> decoded(width);
  for (uint32_t d = 0; d < kDirections; ++d) {
    directions[d] = pool_.row(width, 1 / std::sqrt(static_cast<double>(width)), random_);
    require(powerinfer_dequantize(type_.number, directions[d], static_cast<uint32_t>(row_bytes), decoded.data(), width));
    double energy = 0;
    for (uint32_t i = kConstantWidth; i < width; ++i) {
      energy += double{decoded[i]} * decoded[i];
      predictor.down[uint64_t{d} * width + i] = powerinfer::f16_from_float(decoded[i]);
    }
    input_spreads[d] = std::sqrt(energy * variance);
  }
  std::fill_n(predictor.down.begin() + uint64_t{kDirections} * width, kConstantWidth, powerinfer::f16_from_float(1));

  std::vector<uint32_t> by_rank(tensor.rows);
  std::iota(by_rank.begin(), by_rank.end(), 0);
  for (uint32_t i = tensor.rows - 1; i > 0; --i) std::swap(by_rank[i], by_rank[random_.below(i + 1)]);
  std::vector<uint32_t> rank_of(tensor.rows);
  for (uint32_t i = 0; i < tensor.rows; ++i) rank_of[by_rank[i]] = i;

  float bias[kConstantWidth];
  write_rows(tensor, [&](uint32_t n, uint8_t* to) {
    const uint32_t d = random_.below(kDirections);
    std::fill_n(bias, kConstantWidth, static_cast<float>(-thresholds_[rank_of[n]] * input_spreads[d] / (kConstantWidth * constant_)));
    std::memcpy(to, directions[d], row_bytes);
    encode(type_, bias, kConstantWidth, to);
    require(powerinfer_dequantize(type_.number, to, static_cast<uint32_t>(constant_bytes), decoded.data(), kConstantWidth));
    predictor.up[uint64_t{n} * rank + d] = powerinfer::f16_from_float(1);
    predictor.up[uint64_t{n} * rank + kDirections] = powerinfer::f16_from_float(decoded[0]);
  });
  hottest_first.push_back(std::move(by_rank));
  predictors.push_back(std::move(predictor));
}

}  // namespace powerinfer_check
