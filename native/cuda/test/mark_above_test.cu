// Goal: the sets of scores above their thresholds are those of the CPU, and whole words.
// Method: the CPU's scalar kernel row by row; NaN and scores equal to their thresholds are among them.
#include <cmath>

#include "../../cpu/kernels.h"
#include "../../test/test.h"
#include "../kernels.h"
#include "device_array.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

TEST("mark_above marks what the CPU marks, and nothing beyond the last score (seed 40)") {
  Random random(40);
  uint32_t isa = POWERINFER_ISA_SCALAR;
  const Kernels& cpu = *kernels_for(isa);
  for (const uint32_t count : {1u, 31u, 32u, 33u, 64u, 65u, 1000u})
    for (const uint32_t row_count : {1u, 2u, 9u}) {
      note(std::to_string(count) + " scores, " + std::to_string(row_count) + " rows");
      const uint32_t stride = row_stride(count), words = (count + 31) / 32 + row_count % 2;
      std::vector<float> scores(uint64_t{row_count} * stride), thresholds(count);
      for (float& threshold : thresholds) threshold = random.uniform(-1, 1);
      for (uint64_t i = 0; i < scores.size(); ++i) {
        const uint32_t kind = random.below(8);
        scores[i] = kind == 0 ? NAN : kind == 1 && i % stride < count ? thresholds[i % stride] : random.uniform(-1, 1);
      }
      std::vector<uint32_t> expected(uint64_t{row_count} * words);
      for (uint32_t row = 0; row < row_count; ++row) cpu.mark_above(&scores[row * stride], thresholds.data(), count, &expected[row * words]);

      const DeviceArray<float> device_scores(scores), device_thresholds(thresholds);
      const DeviceArray<uint32_t> active(expected.size(), ~0u);
      launch_mark_above({device_scores.get(), stride, device_thresholds.get(), count, row_count, active.get(), words}, nullptr);
      CHECK(active.read() == expected);
    }
}

TEST("mark_above marks as many rows as a batch may have (seed 41)") {
#ifdef __SANITIZE_THREAD__
  return skip("17 million threads are too many to watch for races");
#endif
  Random random(41);
  constexpr uint32_t kRows = 1 << 16;
  std::vector<float> scores(uint64_t{kRows} * row_stride(1));
  std::vector<uint32_t> expected(kRows);
  for (uint32_t row = 0; row < kRows; ++row) {
    expected[row] = random.below(2);
    scores[uint64_t{row} * row_stride(1)] = expected[row] != 0 ? 1.0f : -1.0f;
  }
  const DeviceArray<float> device_scores(scores), threshold(1, 0.0f);
  const DeviceArray<uint32_t> active(kRows, ~0u);
  launch_mark_above({device_scores.get(), row_stride(1), threshold.get(), 1, kRows, active.get(), 1}, nullptr);
  CHECK(active.read() == expected);
}
