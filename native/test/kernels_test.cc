// Goal: the remaining kernels of every instruction set: activation codes, norms, conversion to halves.
// Method: norms against double; codes and halves against the scalar definition, bit for bit, and that against its own rule.
#include <algorithm>
#include "../include/powerinfer.h"
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

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
