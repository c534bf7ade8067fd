// Weights on the device and the same weights decoded in host memory, for tests.
#pragma once
#include <optional>

#include "../../test/kernel_inputs.h"
#include "../pack.h"
#include "device_array.h"

namespace powerinfer_test {

// The types that have a layout on the device. One without blocks and one with them stand for all under ThreadSanitizer, which takes its time: how a
// weight becomes a number is nothing that threads share.
#ifdef __SANITIZE_THREAD__
constexpr powerinfer::Type kDeviceTypes[] = {powerinfer::F16, powerinfer::Q4_K};
#else
constexpr powerinfer::Type kDeviceTypes[] = {powerinfer::F32,  powerinfer::F16,  powerinfer::BF16, powerinfer::Q8_0,
                                             powerinfer::Q4_0, powerinfer::Q4_K, powerinfer::Q6_K};
#endif

// Every byte of the matrix as `pack` sends it through a buffer of staging_bytes; what it leaves out is 0xee.
inline std::vector<uint8_t> packed(const powerinfer::cuda::MatrixSource& source, uint64_t staging_bytes) {
  std::vector<uint8_t> matrix(powerinfer::cuda::layout_of(source).size_bytes, 0xee);
  std::vector<uint8_t> staging(staging_bytes + 16);
  uint8_t* const aligned = staging.data() + (16 - reinterpret_cast<uintptr_t>(staging.data()) % 16) % 16;
  powerinfer::ThreadPool pool(2);
  powerinfer::cuda::pack(pool, source, aligned, staging_bytes, [&](uint64_t to, const uint8_t* from, uint64_t size_bytes) {
    std::memcpy(matrix.data() + to, from, size_bytes);
  });
  return matrix;
}

// A tensor [width, rows] of random weights, or the rows (of a DOWN: the columns) of it that `members` names.
class DeviceWeights {
 public:
  DeviceWeights(uint32_t type, uint32_t width, uint32_t rows, Random& random, Values kind = Values::kOrdinary, bool down = false,
                std::optional<std::vector<uint32_t>> members = {})
      : members_(std::move(members)),
        file_(some_weights(type, uint64_t{width} * rows, random, kind)),
        source_{type, width, rows, file_.data(), down, members_ ? &*members_ : nullptr},
        bytes_(packed(source_, powerinfer::cuda::staging_bytes_min(source_) * 3)),
        values_(uint64_t{source_.matrix_rows()} * source_.matrix_width()) {
    const std::vector<float> all = decoded(type, file_, uint64_t{width} * rows);
    for (uint32_t r = 0; r < source_.matrix_rows(); ++r)
      for (uint32_t i = 0; i < source_.matrix_width(); ++i) {
        const uint64_t member = source_.member(r);
        values_[uint64_t{r} * source_.matrix_width() + i] = all[down ? uint64_t{i} * width + member : member * width + i];
      }
  }

  const powerinfer::cuda::MatrixSource& source() const { return source_; }
  powerinfer::cuda::DownMatrix down() const { return matrix_at(source_, layout_of(source_), bytes_.get()); }
  powerinfer::cuda::DeviceMatrix matrix() const { return down().rows; }
  // f32[matrix rows, matrix width]
  const std::vector<float>& values() const { return values_; }

 private:
  std::optional<std::vector<uint32_t>> members_;
  std::vector<uint8_t> file_;
  powerinfer::cuda::MatrixSource source_;
  DeviceArray<uint8_t> bytes_;
  std::vector<float> values_;
};

}  // namespace powerinfer_test
