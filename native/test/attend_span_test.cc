// Goal: attention over a span is softmax attention, for every query of a block of rows, whichever queries stand beside it.
// Method: the scalar definition and every other variant against double; queries together against each alone, bit for bit.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../include/powerinfer.h"
#include "../quant/q8_0.h"
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

// A span in a cache of one type, and the same as the numbers it stands for.
struct Span {
  std::vector<uint8_t> bytes;
  std::vector<float> values;  // f32[position_count, head_width]
  uint64_t position_bytes;
};

Span make_blocks(uint32_t head_width, uint32_t position_count, uint32_t gap, Random& random) {
  Span span;
  span.position_bytes = (head_width + gap) / 32 * sizeof(BlockQ8_0);
  span.bytes.resize(span.position_bytes * position_count - gap / 32 * sizeof(BlockQ8_0));
  span.values.resize(uint64_t{head_width} * position_count);
  for (uint32_t p = 0; p < position_count; ++p)
    for (uint32_t block = 0; block < head_width / 32; ++block) {
      BlockQ8_0 made;
      made.d = f16_from_float(random.uniform(0.001f, 2.0f / 128));
      for (int8_t& code : made.codes) code = static_cast<int8_t>(random.below(256));
      for (uint32_t i = 0; i < 32; ++i) span.values[p * head_width + block * 32 + i] = float_from_f16(made.d) * made.codes[i];
      std::memcpy(&span.bytes[p * span.position_bytes + block * sizeof made], &made, sizeof made);
    }
  return span;
}

Span make_span(uint32_t cache_type, uint32_t head_width, uint32_t position_count, uint32_t gap, Random& random) {
  Span span;
  if (cache_type == POWERINFER_CACHE_Q8_0) return make_blocks(head_width, position_count, gap, random);
  const uint64_t element_bytes = cache_type == POWERINFER_CACHE_F16 ? 2 : 4;
  span.position_bytes = (head_width + gap) * element_bytes;
  span.bytes.resize(span.position_bytes * position_count - gap * element_bytes);  // the sanitizer sees who reads further
  span.values.resize(uint64_t{head_width} * position_count);
  for (uint32_t p = 0; p < position_count; ++p)
    for (uint32_t i = 0; i < head_width; ++i) {
      const uint16_t half = f16_from_float(random.uniform(-2, 2));
      float& value = span.values[p * head_width + i];
      value = float_from_f16(half);
      const void* const element = cache_type == POWERINFER_CACHE_F16 ? static_cast<const void*>(&half) : &value;
      std::memcpy(&span.bytes[p * span.position_bytes + i * element_bytes], element, element_bytes);
    }
  return span;
}

// Queries f32[row_count, group, head_width], rows `q_gap` floats further apart than they are long.
struct Inputs {
  std::vector<float> q;
  uint32_t group, head_width, q_gap;
  std::vector<uint32_t> position_counts;
  Span k, v;

  uint64_t q_stride() const { return uint64_t{group} * head_width + q_gap; }
};

Inputs make_inputs(uint32_t cache_type, uint32_t head_width, uint32_t group, const std::vector<uint32_t>& position_counts, Random& random) {
  const uint32_t positions = std::max(1u, *std::max_element(position_counts.begin(), position_counts.end()));
  const uint32_t gap = random.below(2) * 32;
  Inputs in{{}, group, head_width, random.below(9), position_counts, make_span(cache_type, head_width, positions, gap, random), {}};
  in.v = make_span(cache_type, head_width, positions, gap, random);
  in.q.resize(in.q_stride() * position_counts.size() - in.q_gap);
  for (float& value : in.q) value = random.uniform(-2, 2);
  return in;
}

struct Outputs {
  std::vector<float> out, largest, totals;
};

// Rows first .. first + count of the inputs.
Outputs run(AttendSpanKernel kernel, const Inputs& in, uint32_t first, uint32_t count) {
  const uint32_t queries = count * in.group;
  Outputs o{std::vector<float>(queries * in.head_width), std::vector<float>(queries), std::vector<float>(queries)};
  std::vector<float> scores(queries * kSpanPositions);
  kernel({&in.q[first * in.q_stride()], in.q_stride(), count, in.group, in.k.bytes.data(), in.v.bytes.data(), in.k.position_bytes,
          &in.position_counts[first], in.head_width, static_cast<float>(1 / std::sqrt(static_cast<double>(in.head_width))), scores.data(),
          o.largest.data(), o.totals.data(), o.out.data()});
  return o;
}

void check_against_double(const Inputs& in, const Outputs& actual) {
  const double scale = 1 / std::sqrt(static_cast<double>(in.head_width));
  for (uint32_t query = 0; query < in.position_counts.size() * in.group; ++query) {
    const uint32_t row = query / in.group, positions = in.position_counts[row];
    const float* const q = &in.q[row * in.q_stride() + query % in.group * in.head_width];
    std::vector<double> scores(positions);
    double largest = -INFINITY, total = 0;
    for (uint32_t p = 0; p < positions; ++p) {
      for (uint32_t i = 0; i < in.head_width; ++i) scores[p] += double{q[i]} * in.k.values[p * in.head_width + i] * scale;
      largest = std::max(largest, scores[p]);
    }
    for (double& score : scores) total += score = std::exp(score - largest);
    if (positions == 0) {
      CHECK_EQUAL(actual.largest[query], -INFINITY);
      CHECK_EQUAL(actual.totals[query], 0.0f);
      continue;
    }
    // A score below 2 · 2 · √160 = 51 is off by some 1e-6 of it, which e^x turns into a relative error; values are below 2.
    CHECK_NEAR(actual.largest[query], largest, 2e-5);
    CHECK_NEAR(actual.totals[query], total, 4e-5 * total);
    for (uint32_t i = 0; i < in.head_width; ++i) {
      double sum = 0;
      for (uint32_t p = 0; p < positions; ++p) sum += scores[p] / total * in.v.values[p * in.head_width + i];
      CHECK_NEAR(actual.out[query * in.head_width + i] / actual.totals[query], sum, 4e-5);
    }
  }
}

bool same_bits(const float* a, const float* b, size_t count) { return std::memcmp(a, b, count * sizeof(float)) == 0; }

}  // namespace

TEST("attend_span equals softmax attention in double, for any head width and number of positions (seed 11)") {
  Random random(11);
  for (const uint32_t head_width : {1u, 7u, 8u, 15u, 16u, 17u, 32u, 64u, 65u, 80u, 128u, 160u})
    for (const uint32_t positions : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 63u, 64u, 127u, 128u})
      for (uint32_t type = 0; type < kCacheTypeCount; ++type) {
        if (type == POWERINFER_CACHE_Q8_0 && head_width % 32 != 0) continue;
        const Inputs in = make_inputs(type, head_width, 1 + random.below(6), {positions}, random);
        for_each_isa([&](const Kernels& kernels, uint32_t isa) {
          note(std::string(kIsaNames[isa]) + ", cache " + std::to_string(type) + ", head width " + std::to_string(head_width) + ", positions " +
               std::to_string(positions) + ", group " + std::to_string(in.group));
          check_against_double(in, run(kernels.attend_span[type], in, 0, 1));
        });
      }
}

TEST("attend_span gives each row of a block the bits it gets alone, whatever each of them sees (seed 15)") {
  Random random(15);
  for (uint32_t trial = 0; trial < 60; ++trial) {
    std::vector<uint32_t> counts(1 + random.below(9));
    for (uint32_t& count : counts) count = trial % 2 == 0 ? 100 + random.below(29) : random.below(kSpanPositions + 1);
    const uint32_t type = random.below(kCacheTypeCount);
    const uint32_t head_width = type == POWERINFER_CACHE_Q8_0 ? 32 * (1 + random.below(4)) : 8 * (1 + random.below(16)) + (trial % 3 == 0 ? 3 : 0);
    const Inputs in = make_inputs(type, head_width, 1 + random.below(6), counts, random);
    for_each_isa([&](const Kernels& kernels, uint32_t isa) {
      note(std::string(kIsaNames[isa]) + ", trial " + std::to_string(trial));
      const Outputs together = run(kernels.attend_span[type], in, 0, static_cast<uint32_t>(counts.size()));
      check_against_double(in, together);
      for (uint32_t row = 0; row < counts.size(); ++row) {
        const Outputs alone = run(kernels.attend_span[type], in, row, 1);
        CHECK(same_bits(&together.out[row * in.group * in.head_width], alone.out.data(), alone.out.size()));
        CHECK(same_bits(&together.largest[row * in.group], alone.largest.data(), in.group));
        CHECK(same_bits(&together.totals[row * in.group], alone.totals.data(), in.group));
      }
    });
  }
}

TEST("attend_span weighs two positions by e^x to four units in the last place, from x = 0 to -80") {
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(kIsaNames[isa]);
    for (uint32_t step = 0; step <= 4000; ++step) {
      const float q[] = {1.0f}, k[] = {0.0f, -0.02f * static_cast<float>(step)}, v[] = {0.0f, 1.0f};
      const uint32_t counts[] = {2};
      float out = 0, largest = 0, total = 0, scores[kSpanPositions];
      kernels.attend_span[POWERINFER_CACHE_F32]({q, 1, 1, 1, reinterpret_cast<const uint8_t*>(k), reinterpret_cast<const uint8_t*>(v), 4, counts, 1, 1.0f,
                                                 scores, &largest, &total, &out});
      const double expected = std::exp(double{k[1]}) / (1 + std::exp(double{k[1]}));
      CHECK_NEAR(out / total, expected, 4 * 0x1p-23 * expected);
    }
  });
}

TEST("attend_span gives NaN for a NaN key to those who see it, and stays finite when scores are far apart") {
  for_each_isa([&](const Kernels& kernels, uint32_t isa) {
    note(kIsaNames[isa]);
    const float q[] = {1000.0f, 1000.0f, 1000.0f, 1000.0f};  // four rows, so that they are computed together
    float k[] = {-1000.0f, 1000.0f, 0.0f}, v[] = {5.0f, 3.0f, 4.0f}, out[4], largest[4], totals[4], scores[4 * kSpanPositions];
    const uint32_t counts[] = {3, 2, 2, 2};
    const AttendSpan op{q, 1, 4, 1, reinterpret_cast<const uint8_t*>(k), reinterpret_cast<const uint8_t*>(v), 4, counts, 1, 1.0f,
                        scores, largest, totals, out};
    kernels.attend_span[POWERINFER_CACHE_F32](op);
    CHECK_EQUAL(out[0] / totals[0], 3.0f);
    k[2] = NAN;
    v[2] = NAN;
    kernels.attend_span[POWERINFER_CACHE_F32](op);
    CHECK(std::isnan(out[0] / totals[0]));
    for (uint32_t row = 1; row < 4; ++row) CHECK_EQUAL(out[row] / totals[row], 3.0f);
  });
}
