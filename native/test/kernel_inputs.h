// Weights and activations for kernel tests and benchmarks: seeded, any bytes a file may hold, but no infinite or NaN scales.
#pragma once
#include <cstring>
#include "../cpu/kernels.h"
#include "../quant/formats.h"
#include "test.h"

namespace powerinfer_test {

// Types that matmul takes and no file has.
constexpr powerinfer::Type kGateTypes[] = {powerinfer::G2, powerinfer::G3};

enum class Values {
  kOrdinary,  // random codes, scales around 1/100
  kHostile    // extreme codes, scales zero, negative zero, subnormal or negative; activations at the edge of their code range
};

constexpr powerinfer::Type kAllTypes[] = {powerinfer::F32,  powerinfer::F16,  powerinfer::BF16, powerinfer::Q8_0, powerinfer::Q4_0,
                                          powerinfer::Q4_1, powerinfer::Q5_0, powerinfer::Q5_1, powerinfer::Q2_K, powerinfer::Q3_K,
                                          powerinfer::Q4_K, powerinfer::Q5_K, powerinfer::Q6_K};

inline const char* name_of(uint32_t type) {
  switch (type) {
    case powerinfer::F32: return "F32";
    case powerinfer::F16: return "F16";
    case powerinfer::BF16: return "BF16";
    case powerinfer::Q8_0: return "Q8_0";
    case powerinfer::Q4_0: return "Q4_0";
    case powerinfer::Q4_1: return "Q4_1";
    case powerinfer::Q5_0: return "Q5_0";
    case powerinfer::Q5_1: return "Q5_1";
    case powerinfer::Q2_K: return "Q2_K";
    case powerinfer::Q3_K: return "Q3_K";
    case powerinfer::Q4_K: return "Q4_K";
    case powerinfer::Q5_K: return "Q5_K";
    case powerinfer::G2: return "G2";
    case powerinfer::G3: return "G3";
    default: return "Q6_K";
  }
}

// Weights that share a block: 1, 32, 64 or 256.
inline uint32_t block_weights(uint32_t type) {
  return powerinfer::row_bytes(type, 1) ? 1 : powerinfer::row_bytes(type, 32) ? 32 : powerinfer::row_bytes(type, 64) ? 64 : 256;
}

inline float some_float(Random& random, Values values) {
  if (values == Values::kOrdinary) return random.uniform(-1, 1);
  const float choices[] = {0.0f, -0.0f, 0x1p-24f, -0x1p-20f, 1.0f, -1.0f, 100.0f, -100.0f};  // halves, two of them subnormal
  return choices[random.below(8)];
}

inline uint16_t some_scale(Random& random, Values values) {
  if (values == Values::kOrdinary) return powerinfer::f16_from_float(random.uniform(0.005f, 0.02f));
  const uint16_t choices[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x2000, 0xa000};
  return choices[random.below(6)];
}

template <class Block>
void fill_blocks(uint8_t* bytes, uint64_t size_bytes, Random& random, Values values) {
  const bool hostile = values == Values::kHostile;
  for (uint64_t i = 0; i < size_bytes; ++i) {
    const uint8_t extremes[] = {0x00, 0xff, 0x80, 0x7f};
    bytes[i] = hostile ? extremes[random.below(4)] : static_cast<uint8_t>(random.bits());
  }
  for (uint64_t b = 0; b < size_bytes / sizeof(Block); ++b) {
    Block& block = reinterpret_cast<Block*>(bytes)[b];
    block.d = some_scale(random, values);
    if constexpr (std::is_same_v<Block, powerinfer::BlockQ4_1> || std::is_same_v<Block, powerinfer::BlockQ5_1>) block.m = some_scale(random, values);
    else if constexpr (Block::kHasOffset) block.dmin = some_scale(random, values);
  }
}

inline std::vector<uint8_t> some_weights(uint32_t type, uint64_t count, Random& random, Values values) {
  using namespace powerinfer;
  std::vector<uint8_t> bytes(row_bytes(type, count));
  const auto plain = [&](auto encode) {
    for (uint64_t i = 0; i < count; ++i) {
      const auto element = encode(some_float(random, values));
      std::memcpy(bytes.data() + i * sizeof element, &element, sizeof element);
    }
  };
  switch (type) {
    case F32: plain([](float v) { return v; }); break;
    case F16: plain([](float v) { return f16_from_float(v); }); break;
    case BF16: plain([](float v) { return static_cast<uint16_t>(bits_from_float(v) >> 16); }); break;
    case Q8_0: fill_blocks<BlockQ8_0>(bytes.data(), bytes.size(), random, values); break;
    case Q4_0: fill_blocks<BlockQ4_0>(bytes.data(), bytes.size(), random, values); break;
    case Q4_1: fill_blocks<BlockQ4_1>(bytes.data(), bytes.size(), random, values); break;
    case Q5_0: fill_blocks<BlockQ5_0>(bytes.data(), bytes.size(), random, values); break;
    case Q5_1: fill_blocks<BlockQ5_1>(bytes.data(), bytes.size(), random, values); break;
    case Q2_K: fill_blocks<BlockQ2_K>(bytes.data(), bytes.size(), random, values); break;
    case Q3_K: fill_blocks<BlockQ3_K>(bytes.data(), bytes.size(), random, values); break;
    case Q4_K: fill_blocks<BlockQ4_K>(bytes.data(), bytes.size(), random, values); break;
    case Q5_K: fill_blocks<BlockQ5_K>(bytes.data(), bytes.size(), random, values); break;
    case Q6_K: fill_blocks<BlockQ6_K>(bytes.data(), bytes.size(), random, values); break;
    case G2: fill_blocks<BlockG2>(bytes.data(), bytes.size(), random, values); break;
    case G3: fill_blocks<BlockG3>(bytes.data(), bytes.size(), random, values); break;
    default: break;
  }
  return bytes;
}

// Activation rows in every form a matmul may ask for; the codes come from the scalar definitions.
struct Activations {
  std::vector<float> values;
  std::vector<int8_t> byte_codes;
  std::vector<int16_t> sums, word_codes;
  std::vector<float> byte_scales, word_scales;
  powerinfer::Rows rows{};

  explicit Activations(std::vector<float> given, uint32_t count, uint32_t width) : values(std::move(given)) {
    const uint64_t steps = uint64_t{count} * (width / 32);
    if (width % 32 == 0) {
      byte_codes.resize(steps * 32);
      byte_scales.resize(steps);
      sums.resize(steps * 2);
      word_codes.resize(steps * 32);
      word_scales.resize(steps);
      uint32_t isa = 1;
      const powerinfer::Kernels* scalar = powerinfer::kernels_for(isa);
      for (uint32_t r = 0; r < count; ++r) {
        const float* row = &values[uint64_t{r} * width];
        scalar->quantize_bytes(row, width, count, &byte_codes[r * 32], &byte_scales[r], &sums[r * 2]);
        scalar->quantize_words(row, width, count, &word_codes[r * 32], &word_scales[r]);
      }
    }
    rows = {values.data(), {byte_codes.data(), byte_scales.data(), sums.data()}, {word_codes.data(), word_scales.data()}, width, count, width};
  }
  Activations(uint32_t count, uint32_t width, Random& random, Values kind) : Activations(some(count, width, random, kind), count, width) {}
  Activations(const Activations&) = delete;
  Activations& operator=(const Activations&) = delete;

  // The same rows first .. first + count, quantized as a batch of their own.
  Activations slice(uint32_t first, uint32_t count) const {
    return Activations({values.begin() + first * rows.width, values.begin() + (first + count) * rows.width}, count, rows.width);
  }
  // What a weight type multiplies at column k of row r.
  double seen(powerinfer::Form form, uint32_t r, uint32_t k) const {
    constexpr uint32_t kWordPlace[4] = {0, 2, 1, 3};
    const uint64_t at = uint64_t{k / 32} * rows.count + r;
    if (form == powerinfer::Form::kBytes) return double{byte_scales[at]} * byte_codes[at * 32 + k % 32];
    if (form == powerinfer::Form::kWords) return double{word_scales[at]} * word_codes[at * 32 + k % 32 / 4 * 4 + kWordPlace[k % 4]];
    return values[uint64_t{r} * rows.width + k];
  }

 private:
  static std::vector<float> some(uint32_t count, uint32_t width, Random& random, Values kind) {
    std::vector<float> values(uint64_t{count} * width);
    for (float& value : values) value = kind == Values::kHostile && random.below(2) ? (random.below(2) ? 3.0f : -3.0f) : random.uniform(-3, 3);
    return values;
  }
};

// f32 weights of `bytes`, decoded.
inline std::vector<float> decoded(uint32_t type, const std::vector<uint8_t>& bytes, uint64_t count) {
  std::vector<float> weights(count);
  uint32_t isa = 1;
  powerinfer::kernels_for(isa)->dequantize[type](bytes.data(), weights.data(), count);
  return weights;
}

// |scale · code| + |offset| of every weight: what rounding errors are relative to.
template <class Block>
void block_magnitudes(const std::vector<uint8_t>& bytes, std::vector<double>& magnitudes) {
  for (uint64_t b = 0; b < magnitudes.size() / Block::kWeights; ++b) {
    int8_t codes[Block::kWeights];
    float scales[Block::kWeights / Block::kGroup], offsets[Block::kWeights / Block::kGroup] = {};
    reinterpret_cast<const Block*>(bytes.data())[b].split(codes, scales, offsets);
    for (uint32_t i = 0; i < Block::kWeights; ++i)
      magnitudes[b * Block::kWeights + i] = std::abs(double{scales[i / Block::kGroup]} * codes[i]) + std::abs(double{offsets[i / Block::kGroup]});
  }
}

inline std::vector<double> magnitudes_of(uint32_t type, const std::vector<uint8_t>& bytes, uint64_t count) {
  using namespace powerinfer;
  std::vector<double> magnitudes(count);
  switch (type) {
    case Q4_1: block_magnitudes<BlockQ4_1>(bytes, magnitudes); break;
    case Q5_1: block_magnitudes<BlockQ5_1>(bytes, magnitudes); break;
    case Q2_K: block_magnitudes<BlockQ2_K>(bytes, magnitudes); break;
    case Q4_K: block_magnitudes<BlockQ4_K>(bytes, magnitudes); break;
    case Q5_K: block_magnitudes<BlockQ5_K>(bytes, magnitudes); break;
    default: {  // no offsets: the weights themselves
      const std::vector<float> weights = decoded(type, bytes, count);
      for (uint64_t i = 0; i < count; ++i) magnitudes[i] = std::abs(double{weights[i]});
    }
  }
  return magnitudes;
}

constexpr const char* kIsaNames[] = {"AUTO", "scalar", "AVX2", "AVX-512", "AVX-512 VNNI"};

// Calls f(kernels, isa) for each instruction set this CPU runs; the others are named as skipped by one case in kernels_test.cc.
template <class F>
void for_each_isa(F&& f) {
  for (uint32_t wanted = 1; wanted <= 4; ++wanted) {
    uint32_t isa = wanted;
    if (const powerinfer::Kernels* kernels = powerinfer::kernels_for(isa)) f(*kernels, isa);
  }
}

}  // namespace powerinfer_test
