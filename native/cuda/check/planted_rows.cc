// How are random weights made as fast as a disk takes them?
#include "planted_rows.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "../../quant/half.h"
#include "../../quant/q4_0.h"
#include "../../quant/q8_0.h"

namespace powerinfer_check {
namespace {

constexpr uint32_t kPoolSize = 1u << 20;

constexpr PlantedType kTypes[] = {
    {"F16", 1, 1, 2, 0.002}, {"Q4_0", 2, 32, sizeof(powerinfer::BlockQ4_0), 0.02}, {"Q8_0", 8, 32, sizeof(powerinfer::BlockQ8_0), 0.002}};

// The value that is farthest from zero.
float largest(const float* values) {
  return *std::max_element(values, values + 32, [](float a, float b) { return std::abs(a) < std::abs(b); });
}

int code(float value, float d, int low, int high) { return d == 0 ? 0 : std::clamp(static_cast<int>(std::lround(value / d)), low, high); }

void encode_block(const float* values, powerinfer::BlockQ8_0& block) {
  const float d = std::abs(largest(values)) / 127;
  block.d = powerinfer::f16_from_float(d);
  for (uint32_t i = 0; i < 32; ++i) block.codes[i] = static_cast<int8_t>(code(values[i], d, -127, 127));
}

void encode_block(const float* values, powerinfer::BlockQ4_0& block) {
  const float d = largest(values) / -8;
  block.d = powerinfer::f16_from_float(d);
  const auto nibble = [&](uint32_t i) { return code(values[i], d, -8, 7) + 8; };
  for (uint32_t i = 0; i < 16; ++i) block.nibbles[i] = static_cast<uint8_t>(nibble(i) | nibble(i + 16) << 4);
}

template <class Block>
void encode_blocks(const float* values, uint64_t count, uint8_t* to) {
  for (uint64_t b = 0; b < count / 32; ++b) encode_block(values + 32 * b, reinterpret_cast<Block*>(to)[b]);
}

}  // namespace

const PlantedType& planted_type(const std::string& name) {
  for (const PlantedType& type : kTypes) {
    if (name == type.name) return type;
  }
  throw std::invalid_argument("models are planted in F16, Q8_0 and Q4_0, not in " + name);
}

void encode(const PlantedType& type, const float* values, uint64_t count, uint8_t* to) {
  if (type.block_bytes == sizeof(powerinfer::BlockQ8_0)) return encode_blocks<powerinfer::BlockQ8_0>(values, count, to);
  if (type.block_bytes == sizeof(powerinfer::BlockQ4_0)) return encode_blocks<powerinfer::BlockQ4_0>(values, count, to);
  for (uint64_t i = 0; i < count; ++i) {
    const uint16_t half = powerinfer::f16_from_float(values[i]);
    std::memcpy(to + i * sizeof half, &half, sizeof half);
  }
}

uint64_t Random::bits() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

NormalPool::NormalPool(const PlantedType& type, uint64_t seed) : type_(type), values_(kPoolSize) {
  Random random(seed);
  for (uint32_t i = 0; i < kPoolSize; i += 2) {  // Box and Muller
    const double radius = std::sqrt(-2 * std::log(random.uniform())), angle = 2 * std::acos(-1.0) * random.uniform();
    values_[i] = static_cast<float>(radius * std::cos(angle));
    values_[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

const uint8_t* NormalPool::row(uint32_t width, double spread, Random& random) {
  std::vector<uint8_t>& encoded = encoded_[spread];
  if (encoded.empty()) {
    std::vector<float> scaled(values_);
    for (float& value : scaled) value *= static_cast<float>(spread);
    encoded.resize(type_.bytes(kPoolSize));
    encode(type_, scaled.data(), kPoolSize, encoded.data());
  }
  // From whole cache lines on, whatever the type.
  return &encoded[type_.bytes(uint64_t{random.below((kPoolSize - width) / 32 + 1)} * 32)];
}

void NormalPool::fill(float* row, uint32_t width, double spread, Random& random) const {
  const float scale = static_cast<float>(spread * std::sqrt(0.5));
  const float* const first = &values_[random.below(kPoolSize - width + 1)];
  const float* const second = &values_[random.below(kPoolSize - width + 1)];
  for (uint32_t i = 0; i < width; ++i) row[i] = scale * (first[i] + second[i]);
}

}  // namespace powerinfer_check
