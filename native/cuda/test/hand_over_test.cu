// Goal: hidden rows and sets reach the host, without gaps and before their number does.
// Method: what is in host memory once the number is there; the second hand-over has the next number.
#include <algorithm>

#include "../../test/test.h"
#include "../kernels.h"
#include "device_array.h"

using namespace powerinfer;
using namespace powerinfer::cuda;
using namespace powerinfer_test;

namespace {

// Pinned host memory.
template <class T>
class HostArray {
 public:
  HostArray(uint64_t count, T value) {
    require(cudaMallocHost(reinterpret_cast<void**>(&values_), count * sizeof(T)));
    std::fill(values_, values_ + count, value);
  }
  ~HostArray() { cudaFreeHost(values_); }
  HostArray(const HostArray&) = delete;
  HostArray& operator=(const HostArray&) = delete;
  T* get() const { return values_; }

 private:
  T* values_ = nullptr;
};

}  // namespace

TEST("hand_over copies hidden rows and sets to the host and then says so (seed 47)") {
  Random random(47);
  for (const uint32_t width : {1u, 31u, 33u, 1025u})
    for (const uint32_t row_count : {1u, 3u, 9u})
      for (const uint32_t words : {0u, 1u, 33u}) {
        note("width " + std::to_string(width) + ", rows " + std::to_string(row_count) + ", words " + std::to_string(words));
        const uint32_t stride = row_stride(width);
        std::vector<float> x(uint64_t{row_count} * stride);
        for (float& value : x) value = random.uniform(-1, 1);
        std::vector<uint32_t> active(uint64_t{row_count} * words + 1);
        for (uint32_t& word : active) word = static_cast<uint32_t>(random.bits());
        const DeviceArray<float> device_x(x);
        const DeviceArray<uint32_t> device_active(active), sequence(1, 7u);
        const HostArray<float> hidden(uint64_t{row_count} * width, 0);
        const HostArray<uint32_t> to_active(active.size(), 0), arrived(1, 0);
        const bool keeps_hidden = words == 1;
        launch_hand_over({{device_x.get(), stride, width}, row_count, words > 0 ? device_active.get() : nullptr, words,
                          keeps_hidden ? nullptr : hidden.get(), to_active.get(), arrived.get(), sequence.get()}, nullptr);
        require(cudaDeviceSynchronize());
        CHECK_EQUAL(*arrived.get(), 8u);
        for (uint32_t row = 0; row < row_count; ++row)
          for (uint32_t i = 0; i < width; ++i) CHECK_EQUAL(hidden.get()[row * width + i], keeps_hidden ? 0.0f : x[row * stride + i]);
        active.back() = 0;  // behind them
        CHECK(std::equal(active.begin(), active.end(), to_active.get()));

        launch_hand_over({{device_x.get(), stride, width}, row_count, nullptr, 0, nullptr, nullptr, arrived.get(), sequence.get()}, nullptr);
        require(cudaDeviceSynchronize());
        CHECK_EQUAL(*arrived.get(), 9u);
      }
}
