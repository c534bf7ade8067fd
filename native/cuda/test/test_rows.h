// f32 rows on the device as kernels take them, beside the same rows in host memory for the definition: in tests.
#pragma once
#include "../../test/test.h"
#include "../kernels.h"
#include "device_array.h"

namespace powerinfer_test {

class TestRows {
 public:
  TestRows(uint32_t count, uint32_t width, Random& random) : TestRows(some(count, width, random), width) {}

  powerinfer::cuda::DeviceRows on_device() const { return {device_.get(), stride(), width_}; }
  powerinfer::cuda::DeviceRows on_host() { return {host_.data(), stride(), width_}; }
  uint32_t stride() const { return powerinfer::cuda::row_stride(width_); }
  uint32_t count() const { return static_cast<uint32_t>(host_.size() / stride()); }
  const float* row(uint32_t r) const { return &host_[uint64_t{r} * stride()]; }

  // What is on the device is within tolerance(row, column) of what is in host memory, and zeros still follow it.
  template <class Tolerance>
  void check(Tolerance&& tolerance) const {
    const std::vector<float> found = device_.read();
    for (uint32_t r = 0; r < count(); ++r) {
      for (uint32_t i = 0; i < width_; ++i) CHECK_NEAR(found[uint64_t{r} * stride() + i], row(r)[i], tolerance(r, i));
      for (uint32_t i = width_; i < stride(); ++i) CHECK_EQUAL(found[uint64_t{r} * stride() + i], 0.0f);
    }
  }
  std::vector<float> read() const { return device_.read(); }

 private:
  TestRows(std::vector<float> values, uint32_t width) : width_(width), host_(std::move(values)), device_(host_) {}
  static std::vector<float> some(uint32_t count, uint32_t width, Random& random) {
    const uint32_t stride = powerinfer::cuda::row_stride(width);
    std::vector<float> values(uint64_t{count} * stride);
    for (uint32_t r = 0; r < count; ++r)
      for (uint32_t i = 0; i < width; ++i) values[uint64_t{r} * stride + i] = random.uniform(-3, 3);
    return values;
  }

  uint32_t width_;
  std::vector<float> host_;
  DeviceArray<float> device_;
};

// Half a step of f32 relative to 1: what one rounding is at most.
constexpr double kRounding = 0x1p-24;

}  // namespace powerinfer_test
