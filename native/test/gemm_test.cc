// Goal: a product of matrices is its sums, of every form and instruction set, at sizes that straddle every tile and block; threads change no bit.
// Method: sums in double; products by 1, 2 and 3 threads compared bit for bit.
#include <cstring>

#include "../include/powerinfer_train.h"
#include "../cpu/kernels.h"
#include "test.h"
#include "tiny_model.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

std::vector<float> some(uint64_t count, Random& random) {
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(-1, 1);
  return values;
}

struct Product {
  uint32_t form, rows, columns, depth;
  bool adds;
};

// Beyond every row of c there are values that nobody may touch.
constexpr uint32_t kMargin = 3;

std::vector<float> product(uint32_t isa, uint32_t threads, const Product& p, const std::vector<float>& a, const std::vector<float>& b, std::vector<float> c) {
  uint32_t cpu = 0;
  CHECK_OK(powerinfer_cpu_open(threads, isa, &cpu));
  const uint32_t a_stride = p.form == POWERINFER_GEMM_AT_B ? p.rows : p.depth, b_stride = p.form == POWERINFER_GEMM_A_BT ? p.depth : p.columns;
  CHECK_OK(powerinfer_gemm_f32(cpu, p.form, p.rows, p.columns, p.depth, a.data(), a_stride, b.data(), b_stride, p.adds, c.data(), p.columns + kMargin));
  CHECK_OK(powerinfer_cpu_close(cpu));
  return c;
}

void check_product(const Product& p, Random& random) {
  const std::vector<float> a = some(uint64_t{p.rows} * p.depth + 1, random), b = some(uint64_t{p.depth} * p.columns + 1, random);
  const std::vector<float> before = some(uint64_t{p.rows} * (p.columns + kMargin), random);
  for (uint32_t isa = 1; isa <= 4; ++isa) {
    if (!(supported_isas() >> isa & 1)) continue;
    note("isa " + shown(isa) + " form " + shown(p.form) + " " + shown(p.rows) + " x " + shown(p.columns) + " x " + shown(p.depth));
    const std::vector<float> c = product(isa, 1, p, a, b, before);
    for (const uint32_t threads : {2u, 3u}) {
      const std::vector<float> again = product(isa, threads, p, a, b, before);
      CHECK(std::memcmp(c.data(), again.data(), c.size() * sizeof(float)) == 0);
    }
    for (uint32_t i = 0; i < p.rows; ++i)
      for (uint32_t j = 0; j < p.columns + kMargin; ++j) {
        const uint64_t at = uint64_t{i} * (p.columns + kMargin) + j;
        if (j >= p.columns) {
          CHECK_EQUAL(c[at], before[at]);
          continue;
        }
        double sum = p.adds ? before[at] : 0;
        for (uint32_t k = 0; k < p.depth; ++k) {
          const double left = p.form == POWERINFER_GEMM_AT_B ? a[uint64_t{k} * p.rows + i] : a[uint64_t{i} * p.depth + k];
          sum += left * (p.form == POWERINFER_GEMM_A_BT ? b[uint64_t{j} * p.depth + k] : b[uint64_t{k} * p.columns + j]);
        }
        // A chain of depth additions of terms below 1: errors of 2^-24 each add up as a random walk at most some ten times wider.
        CHECK_NEAR(c[at], sum, 1e-6 * (1 + std::sqrt(p.depth)));
      }
  }
  note("");
}

}  // namespace

TEST("powerinfer_gemm_f32: equals its sums at the edges of tiles and blocks, whatever the threads (seed 31)") {
  Random random(31);
  for (uint32_t form = 0; form <= 2; ++form) {
    for (const uint32_t rows : {1u, 5u, 6u, 7u, 14u, 29u})
      for (const uint32_t columns : {1u, 8u, 15u, 16u, 33u}) check_product({form, rows, columns, 1 + random.below(40), (rows + columns) % 2 == 0}, random);
    for (const uint32_t depth : {0u, 1u, 255u, 256u, 257u, 513u}) check_product({form, 13, 19, depth, depth % 2 == 0}, random);
    check_product({form, 97, 5, 9, false}, random);
    check_product({form, 225, 40, 3, true}, random);
    check_product({form, 3, 513, 7, true}, random);
    check_product({form, 2, 2050, 3, false}, random);
  }
}

TEST("powerinfer_gemm_f32: a product without rows or columns touches nothing") {
  float one = 1, untouched = 7;
  uint32_t cpu = 0;
  CHECK_OK(powerinfer_cpu_open(2, POWERINFER_ISA_AUTO, &cpu));
  CHECK_OK(powerinfer_gemm_f32(cpu, POWERINFER_GEMM_A_B, 0, 3, 1, &one, 1, &one, 3, 0, &untouched, 3));
  CHECK_OK(powerinfer_gemm_f32(cpu, POWERINFER_GEMM_A_B, 3, 0, 1, &one, 1, &one, 0, 0, &untouched, 0));
  CHECK_EQUAL(untouched, 7.0f);
  CHECK_OK(powerinfer_cpu_close(cpu));
}

TEST("powerinfer_gemm_f32: refuses what is no product") {
  float value = 1;
  uint32_t cpu = 0;
  CHECK_OK(powerinfer_cpu_open(1, POWERINFER_ISA_AUTO, &cpu));
  const auto call = [&](uint32_t form, const float* a, uint32_t a_stride, uint32_t b_stride, uint32_t adds, uint32_t c_stride) {
    return powerinfer_gemm_f32(cpu, form, 1, 1, 1, a, a_stride, &value, b_stride, adds, &value, c_stride);
  };
  CHECK_EQUAL(call(3, &value, 1, 1, 0, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(call(0, nullptr, 1, 1, 0, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(call(0, &value, 0, 1, 0, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(call(0, &value, 1, 0, 0, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(call(0, &value, 1, 1, 2, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(call(0, &value, 1, 1, 0, 0), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(powerinfer_gemm_f32(cpu, 0, ~0u, 1, 1, &value, 1, &value, 1, 0, &value, 1), powerinfer_status{POWERINFER_INVALID_ARGUMENT});
  CHECK_EQUAL(value, 1.0f);
  CHECK_OK(powerinfer_cpu_close(cpu));
  CHECK_EQUAL(call(0, &value, 1, 1, 0, 1), powerinfer_status{POWERINFER_INVALID_HANDLE});
}
