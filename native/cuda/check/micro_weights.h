// Random weights in device memory.
#pragma once
#include <algorithm>
#include <vector>

#include "../../test/kernel_inputs.h"
#include "../memory.h"
#include "../pack.h"

namespace powerinfer_check {

// As many copies of a tensor [width, rows] as it takes to make `size_bytes_min` bytes: all alike, but not in one place.
class MicroWeights {
 public:
  MicroWeights(powerinfer::cuda::Budget& budget, uint32_t type, uint32_t width, uint32_t rows, bool down, uint64_t size_bytes_min) {
    powerinfer_test::Random random(type + 1);
    const std::vector<uint8_t> file = powerinfer_test::some_weights(type, uint64_t{width} * rows, random, powerinfer_test::Values::kOrdinary);
    const powerinfer::cuda::MatrixSource source{type, width, rows, file.data(), down};
    const powerinfer::cuda::MatrixLayout layout = powerinfer::cuda::layout_of(source);
    const uint64_t count = std::max<uint64_t>(1, (size_bytes_min + layout.size_bytes - 1) / layout.size_bytes);
    file_bytes_ = static_cast<double>(file.size());
    memory_ = powerinfer::cuda::DeviceMemory(budget, count * layout.size_bytes, "weights to measure with");
    const uint64_t staging_bytes = std::max<uint64_t>(powerinfer::cuda::staging_bytes_min(source), 16u << 20);
    const powerinfer::cuda::PinnedMemory staging(staging_bytes);
    powerinfer::ThreadPool pool(2);
    powerinfer::cuda::pack(pool, source, staging.bytes(), staging_bytes, [&](uint64_t at, const uint8_t* from, uint64_t bytes) {
      for (uint64_t copy = 0; copy < count; ++copy) {
        powerinfer::cuda::check(cudaMemcpy(memory_.bytes() + copy * layout.size_bytes + at, from, bytes, cudaMemcpyHostToDevice), "copy weights");
      }
    });
    for (uint64_t copy = 0; copy < count; ++copy) matrices_.push_back(powerinfer::cuda::matrix_at(source, layout, memory_.bytes() + copy * layout.size_bytes));
  }

  // Of one copy, in the file.
  double file_bytes() const { return file_bytes_; }
  const std::vector<powerinfer::cuda::DownMatrix>& matrices() const { return matrices_; }

 private:
  double file_bytes_;
  powerinfer::cuda::DeviceMemory memory_;
  std::vector<powerinfer::cuda::DownMatrix> matrices_;
};

}  // namespace powerinfer_check
