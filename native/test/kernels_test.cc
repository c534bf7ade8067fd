// Goal: the remaining kernels of every instruction set: attention of a head, activation codes, norms, conversion to halves.
// Method: attention and norms against double; codes and halves against the scalar definition, bit for bit, and that against its own rule.
#include <algorithm>
#include "../include/powerinfer.h"
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

void convert_to_halves(const std::vector<float>& values, std::vector<uint16_t>& halves) {
  std::transform(values.begin(), values.end(), halves.begin(), f16_from_float);
}

void check_attention(bool f16, uint32_t head_width, uint32_t positions, uint32_t gap, Random& random) {
  const uint64_t stride = head_width + gap;
  std::vector<float> q(head_width), k(stride * positions), v(stride * positions);
  for (float& value : q) value = random.uniform(-2, 2);
  for (float& value : k) value = float_from_f16(f16_from_float(random.uniform(-2, 2)));
  for (float& value : v) value = float_from_f16(f16_from_float(random.uniform(-2, 2)));
  std::vector<uint16_t> k16(k.size()), v16(v.size());
  convert_to_halves(k, k16);
  convert_to_halves(v, v16);
  const double scale = 1 / std::sqrt(static_cast<double>(head_width));
  std::vector<double> scores(positions);
  double largest = -INFINITY, total = 0;
  for (uint32_t p = 0; p < positions; ++p) {
    for (uint32_t i = 0; i < head_width; ++i) scores[p] += double{q[i]} * k[p * stride + i] * scale;
    largest = std::max(largest, scores[p]);
  }
  for (double& score : scores) total += score = std::exp(score - largest);
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(std::string(kIsaNames[isa]) + (f16 ? " f16" : " f32") + ", head width " + std::to_string(head_width) + ", positions " + std::to_string(positions));
    std::vector<float> out(head_width + 1, 7.0f), scratch(positions + 1, 7.0f);
    const AttendHead op{q.data(), f16 ? static_cast<const void*>(k16.data()) : k.data(), f16 ? static_cast<const void*>(v16.data()) : v.data(), stride,
                        positions, head_width, static_cast<float>(scale), scratch.data(), out.data()};
    (f16 ? kernels.attend_head_f16 : kernels.attend_head_f32)(op);
    for (uint32_t i = 0; i < head_width; ++i) {
      double sum = 0;
      for (uint32_t p = 0; p < positions; ++p) sum += scores[p] / total * v[p * stride + i];
      // A score below 2 · 2 · √160 = 51 is off by some 1e-6 of it, which e^x turns into a relative error; values are below 2.
      CHECK_NEAR(out[i], sum, 4e-5);
    }
    CHECK_EQUAL(out[head_width], 7.0f);
    CHECK_EQUAL(scratch[positions], 7.0f);
  });
}

}  // namespace

TEST("every instruction set this CPU lacks is refused, every one it has is listed") {
  for (uint32_t wanted = 1; wanted <= 4; ++wanted) {
    uint32_t isa = wanted;
    CHECK_EQUAL(kernels_for(isa) != nullptr, (supported_isas() >> wanted & 1) != 0);
    CHECK_EQUAL(isa, wanted);
  }
  uint32_t unknown = 9;
  CHECK(kernels_for(unknown) == nullptr);
  uint32_t best = POWERINFER_ISA_AUTO;
  CHECK(kernels_for(best) != nullptr);
  CHECK_EQUAL(supported_isas() >> best, 1u);
}

// One visible skip for each instruction set whose variants the other cases could not run here.
template <uint32_t kIsa>
void run_here() {
  if (!(supported_isas() >> kIsa & 1)) skip("this CPU lacks it; its kernels were not tested");
}
TEST("AVX2 kernels run here") { run_here<POWERINFER_ISA_AVX2>(); }
TEST("AVX-512 kernels run here") { run_here<POWERINFER_ISA_AVX512>(); }
TEST("AVX-512 VNNI kernels run here") { run_here<POWERINFER_ISA_AVX512_VNNI>(); }

TEST("attend_head equals softmax attention in double, for any head width and number of positions (seed 11)") {
  Random random(11);
  for (const uint32_t head_width : {1u, 7u, 8u, 15u, 16u, 17u, 64u, 65u, 80u, 128u, 160u})
    for (const uint32_t positions : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 63u, 64u, 257u})
      for (const bool f16 : {false, true}) check_attention(f16, head_width, positions, random.below(2) * 40, random);
}

TEST("attend_head weighs two positions by e^x to four units in the last place, from x = 0 to -80") {
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(kIsaNames[isa]);
    for (uint32_t step = 0; step <= 4000; ++step) {
      const float q[] = {1.0f}, k[] = {0.0f, -0.02f * static_cast<float>(step)}, v[] = {0.0f, 1.0f};
      float out = 0, scores[2];
      kernels.attend_head_f32({q, k, v, 1, 2, 1, 1.0f, scores, &out});
      const double expected = std::exp(double{k[1]}) / (1 + std::exp(double{k[1]}));
      CHECK_NEAR(out, expected, 4 * 0x1p-23 * expected);
    }
  });
}

TEST("attend_head gives NaN for a NaN key, and stays finite when scores are far apart") {
  for_each_isa([&](const Kernels& kernels, uint32_t) {
    const float q[] = {1000.0f};
    float k[] = {-1000.0f, 1000.0f, 0.0f}, out = 0, scores[3];
    const float v[] = {5.0f, 3.0f, 4.0f};
    kernels.attend_head_f32({q, k, v, 1, 3, 1, 1.0f, scores, &out});
    CHECK_EQUAL(out, 3.0f);
    k[2] = NAN;
    kernels.attend_head_f32({q, k, v, 1, 3, 1, 1.0f, scores, &out});
    CHECK(std::isnan(out));
  });
}

TEST("quantize_bytes and quantize_words give the scalar bits on every instruction set, hostile steps included (seed 12)") {
  Random random(12);
  const float edges[] = {0.0f, -0.0f, 1e-45f, 1e-31f, 1e30f, 3e38f, INFINITY, -INFINITY, NAN, 0.5f, 126.5f, -127.0f};
  for (uint32_t steps = 1; steps <= 9; ++steps)
    for (uint32_t trial = 0; trial < 60; ++trial) {
      const uint32_t width = steps * 32, count = 1 + trial % 3;
      std::vector<float> values(count * width);
      for (float& value : values) value = random.uniform(-4, 4);
      for (uint32_t i = 0; i < trial % 4; ++i) values[random.below(count * width)] = edges[random.below(12)];
      if (trial % 10 == 0) std::fill(values.begin(), values.end(), edges[random.below(12)]);
      const Activations x(values, count, width);
      for (uint32_t r = 0; r < count; ++r)
        for (uint32_t step = 0; step < steps; ++step) {
          const float* from = &values[r * width + step * 32];
          const uint32_t at = step * count + r;
          const bool finite = std::all_of(from, from + 32, [](float value) { return std::isfinite(value); });
          CHECK_EQUAL(std::isnan(x.byte_scales[at]), !finite);
          CHECK_EQUAL(std::isnan(x.word_scales[at]), !finite);
          int sums[2] = {};
          for (uint32_t i = 0; i < 32; ++i) {
            sums[i / 16] += x.byte_codes[at * 32 + i];
            if (!finite) continue;
            CHECK(std::abs(x.seen(Form::kBytes, r, step * 32 + i) - from[i]) <= 0.5001 * x.byte_scales[at] + 1e-30);
            CHECK(std::abs(x.seen(Form::kWords, r, step * 32 + i) - from[i]) <= 0.503 * x.word_scales[at] + 1e-30);
          }
          CHECK_EQUAL(x.sums[at * 2], sums[0]);
          CHECK_EQUAL(x.sums[at * 2 + 1], sums[1]);
        }
      for_each_isa([&](const Kernels& kernels, uint32_t) {
        std::vector<int8_t> bytes(x.byte_codes.size());
        std::vector<int16_t> words(bytes.size()), sums(x.sums.size());
        std::vector<float> byte_scales(x.byte_scales.size()), word_scales(x.byte_scales.size());
        for (uint32_t r = 0; r < count; ++r) {
          kernels.quantize_bytes(&values[r * width], width, count, &bytes[r * 32], &byte_scales[r], &sums[r * 2]);
          kernels.quantize_words(&values[r * width], width, count, &words[r * 32], &word_scales[r]);
        }
        CHECK(bytes == x.byte_codes);
        CHECK(sums == x.sums);
        CHECK(words == x.word_codes);
        CHECK(std::memcmp(byte_scales.data(), x.byte_scales.data(), byte_scales.size() * sizeof(float)) == 0);
        CHECK(std::memcmp(word_scales.data(), x.word_scales.data(), word_scales.size() * sizeof(float)) == 0);
      });
    }
}

TEST("convert_to_f16 gives the scalar bits on every instruction set, NaNs included (seed 13)") {
  Random random(13);
  for (uint64_t count = 0; count < 3000; count = count < 20 ? count + 1 : count * 2) {
    std::vector<float> values(count);
    for (float& value : values) value = float_from_bits(static_cast<uint32_t>(random.bits()));
    std::vector<uint16_t> expected(count + 1, 7), halves(count + 1, 7);
    for (uint64_t i = 0; i < count; ++i) expected[i] = f16_from_float(values[i]);
    for_each_isa([&](const Kernels& kernels, uint32_t) {
      kernels.convert_to_f16(values.data(), halves.data(), count);
      CHECK(halves == expected);
    });
  }
}

TEST("rms_norm and layer_norm equal their formulas in double (seed 14)") {
  Random random(14);
  uint32_t isa = POWERINFER_ISA_AUTO;
  const Kernels* kernels = kernels_for(isa);
  for (const uint32_t width : {1u, 7u, 8u, 9u, 64u, 65u, 2048u}) {
    std::vector<float> x(width), weight(width), bias(width), out(width);
    for (uint32_t i = 0; i < width; ++i) x[i] = random.uniform(-3, 5), weight[i] = random.uniform(-2, 2), bias[i] = random.uniform(-1, 1);
    double sum = 0, squares = 0, deviations = 0;
    for (const float value : x) sum += value, squares += double{value} * value;
    for (const float value : x) deviations += (value - sum / width) * (value - sum / width);
    kernels->rms_norm(x.data(), weight.data(), nullptr, 1e-5f, width, out.data());
    for (uint32_t i = 0; i < width; ++i) CHECK_NEAR(out[i], x[i] / std::sqrt(squares / width + 1e-5f) * weight[i], 4e-6);
    for (const float* b : {static_cast<const float*>(bias.data()), static_cast<const float*>(nullptr)}) {
      kernels->layer_norm(x.data(), weight.data(), b, 1e-5f, width, out.data());
      for (uint32_t i = 0; i < width; ++i)
        CHECK_NEAR(out[i], (x[i] - sum / width) / std::sqrt(deviations / width + 1e-5f) * weight[i] + (b ? b[i] : 0), 4e-6 * std::max(1.0, 1 / std::sqrt(deviations / width + 1e-5)));
    }
  }
}
