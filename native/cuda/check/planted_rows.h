// How are random weights made as fast as a disk takes them? Numbers are drawn and encoded once; rows are stretches of them.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace powerinfer_check {

// Tensor types that models are planted in; every one of them has blocks of at most 32 weights.
struct PlantedType {
  const char* name;
  uint32_t number;  // GGUF's
  uint32_t block_weights, block_bytes;
  double logit_tolerance;  // agreement.h

  uint64_t bytes(uint64_t weights) const { return weights / block_weights * block_bytes; }
};
// Throws std::invalid_argument if no model is planted in it.
const PlantedType& planted_type(const std::string& name);

// Encodes whole blocks.
void encode(const PlantedType& type, const float* values, uint64_t count, uint8_t* to);

// A seeded generator whose sequence is the same everywhere (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits();
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((bits() >> 32) * bound >> 32); }
  double uniform() { return static_cast<double>((bits() >> 11) + 1) * 0x1p-53; }  // above 0, up to 1

 private:
  uint64_t state_;
};

// Standard normal numbers, and their encodings times some spreads.
class NormalPool {
 public:
  NormalPool(const PlantedType& type, uint64_t seed);

  // `width` encoded weights of this standard deviation, from a random block of the pool on.
  const uint8_t* row(uint32_t width, double spread, Random& random);
  // The sum of two stretches of the pool, of this standard deviation: no two rows are alike.
  void fill(float* row, uint32_t width, double spread, Random& random) const;

 private:
  const PlantedType& type_;
  std::vector<float> values_;
  std::map<double, std::vector<uint8_t>> encoded_;
};

}  // namespace powerinfer_check
