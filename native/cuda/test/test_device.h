// A CUDA device with a tiny model, or a share of it, opened as a plugin's host opens it.
#pragma once
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "../../cpu/kernels.h"
#include "../../test/tiny_model.h"
#include "../device.h"

namespace powerinfer_test {

using Shares = std::vector<uint32_t>;  // u32[block_count, words], or empty: every neuron

// Calls body and returns the failure it throws; fails the test if it does not.
template <class Body>
powerinfer::Failure failure_of(Body&& body) {
  try {
    body();
  } catch (const powerinfer::Failure& failure) {
    return failure;
  }
  throw std::runtime_error("nothing failed");
}

class TestDevice {
 public:
  TestDevice(const TinyModel& tiny, bool home, Shares shares = {}, double vram_budget_bytes = 0)
      : shape_(tiny.options.shape), shares_(std::move(shares)), bytes_(file_bytes(tiny.path)),
        option_{"vram_budget_bytes", POWERINFER_OPTION_NUMBER, 0, vram_budget_bytes, ""},
        plugin_{sizeof plugin_, shape_.row_count_max, &shape_, &option_, nullptr, 1, 0},
        context_{sizeof context_, home ? 1u : 0u, &plugin_, shares_.empty() ? nullptr : shares_.data()},
        device_(std::make_unique<powerinfer::cuda::Device>(context_)) {
    for (const Tensor& t : tiny.tensors) {
      if (!t.bound) continue;
      const double size_bytes = static_cast<double>(powerinfer::row_bytes(t.type, t.width) * t.rows);
      device_->weights->bind({sizeof(powerinfer_tensor), t.role, t.block, t.type, t.width, t.rows, &bytes_[t.offset_bytes], size_bytes});
    }
    device_->inverse_frequencies = tiny.inverse_frequencies;
  }

  powerinfer::cuda::Device& device() const { return *device_; }
  powerinfer::cuda::Device* operator->() const { return device_.get(); }

  // Logits of all rows, with the FFN of every block run by ffn(block, row_count).
  template <class Ffn>
  std::vector<float> run(const std::vector<powerinfer_row>& rows, Ffn&& ffn) const {
    const uint32_t count = static_cast<uint32_t>(rows.size());
    embed(*device_, rows.data(), count);
    for (uint32_t block = 0; block < shape_.block_count; ++block) {
      attend(*device_, block, nullptr);
      ffn(block, count);
    }
    std::vector<uint32_t> wanted(count);
    std::iota(wanted.begin(), wanted.end(), 0u);
    std::vector<float> logits(uint64_t{count} * shape_.vocabulary_size);
    powerinfer::cuda::logits(*device_, wanted.data(), count, logits.data());
    return logits;
  }

  powerinfer_ffn_call call(uint32_t block, uint32_t row_count, uint32_t flags = 0) const {
    return {sizeof(powerinfer_ffn_call), block, row_count, flags, nullptr, nullptr, nullptr, nullptr};
  }

 private:
  static std::vector<uint8_t> file_bytes(const std::string& path);

  const powerinfer_model_shape shape_;
  const Shares shares_;
  const std::vector<uint8_t> bytes_;
  const powerinfer_option option_;
  const powerinfer_plugin_context plugin_;
  const powerinfer_device_context context_;
  std::unique_ptr<powerinfer::cuda::Device> device_;
};

inline std::vector<uint8_t> TestDevice::file_bytes(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  std::vector<uint8_t> bytes;
  for (int byte = std::fgetc(file.get()); byte != EOF; byte = std::fgetc(file.get())) bytes.push_back(static_cast<uint8_t>(byte));
  return bytes;
}

}  // namespace powerinfer_test
