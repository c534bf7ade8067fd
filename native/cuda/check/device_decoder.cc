// One token after the other on a device that shares its FFNs with the CPU: both compute their part of a block at the same time.
#include <algorithm>

#include "decode.h"
#include "median.h"

namespace powerinfer_check {
namespace {

class DeviceDecoder : public Decoder {
 public:
  DeviceDecoder(const CpuModel& cpu, uint32_t plugin, const Plan& plan, double budget_bytes)
      : cpu_(cpu), shape_(cpu.planted.shape), plan_(plan), words_((shape_.ffn_width + 31) / 32), device_(powerinfer_device_close), hidden_(shape_.hidden_width),
        partial_(shape_.hidden_width), active_(words_), on_cpu_(shape_.block_count, std::vector<uint32_t>(words_)) {
    require(powerinfer_device_new(plugin, &shape_, 1, device_.out()));
    const std::string option = "vram_budget_bytes";
    require(powerinfer_device_option(device_, option.data(), length_of(option), POWERINFER_OPTION_NUMBER, budget_bytes, nullptr, 0));
    for (uint32_t block = 0; block < shape_.block_count; ++block) {
      require(powerinfer_device_share(device_, block, plan.on_device[block].data()));
      for (uint32_t n = 0; n < shape_.ffn_width; ++n) on_cpu_[block][n / 32] |= ~plan.on_device[block][n / 32] & 1u << n % 32;
    }
    for (const PlantedTensor& tensor : cpu.planted.tensors) {
      require(powerinfer_device_bind(device_, tensor.role, tensor.block, cpu.planted.file, static_cast<double>(tensor.offset_bytes),
                                     tensor.type == nullptr ? 0 : tensor.type->number, tensor.width, tensor.rows));
    }
    const std::vector<float>& frequencies = cpu.planted.inverse_frequencies;
    require(powerinfer_device_rope(device_, frequencies.data(), static_cast<uint32_t>(frequencies.size())));
    require(powerinfer_device_ready(device_));
    if (predicts()) require(powerinfer_device_prepare(device_, cpu.predictor));
    cpu_before_ = cpu_counters();
  }

  void restart(uint32_t position_count) override {
    if (cache_ != 0) require(powerinfer_device_cache_close(device_, cache_));
    cache_ = 0;
    require(powerinfer_device_cache_open(device_, position_count, POWERINFER_CACHE_F16, &cache_));
  }

  void step(uint32_t token, uint32_t position, float* logits) override {
    const powerinfer_row row{token, position, cache_};
    const uint32_t first = 0;
    require(powerinfer_device_embed(device_, &row, 1));
    for (uint32_t block = 0; block < shape_.block_count; ++block) {
      require(powerinfer_device_attend(device_, block, nullptr));
      const bool device_takes_part = plan_.counts[block] > 0 && parts != Parts::kWithoutFfn;
      if (device_takes_part) start(block);
      if (plan_.counts[block] < shape_.ffn_width) compute_rest(block, device_takes_part);
      if (!device_takes_part) continue;
      require(powerinfer_device_ffn_wait(device_));
      require(powerinfer_device_merge(device_, block, nullptr));
      if (plan_.counts[block] < shape_.ffn_width) require(powerinfer_device_merge(device_, block, partial_.data()));
    }
    require(powerinfer_device_logits(device_, &first, 1, logits));
  }

  BytesRead read() const override {
    powerinfer_counters device{};
    device.struct_size = sizeof device;
    require(powerinfer_device_counters_read(device_, &device));
    const powerinfer_counters cpu = cpu_counters();
    BytesRead bytes;
    bytes.device = device.weight_bytes + device.cache_bytes + device_predictor_bytes_;
    bytes.device_ffn = device.ffn_bytes + device_predictor_bytes_;
    bytes.cpu = bytes.cpu_ffn = cpu.ffn_bytes - cpu_before_.ffn_bytes + cpu_predictor_bytes_;
    bytes.neuron_count = device.neuron_count + cpu.neuron_count - cpu_before_.neuron_count;
    bytes.computed_count = device.neuron_computed_count + cpu.neuron_computed_count - cpu_before_.neuron_computed_count;
    return bytes;
  }

 private:
  bool predicts() const { return cpu_.selection == Selection::kPredictor; }

  void start(uint32_t block) {
    if (predicts()) {
      require(powerinfer_device_ffn_selected(device_, block, nullptr, 1, cpu_.predictor, POWERINFER_FFN_START, nullptr));
      device_predictor_bytes_ += cpu_.planted.predictor_bytes();
    } else {
      require(powerinfer_device_ffn(device_, block, nullptr, 1, nullptr, POWERINFER_FFN_CONFIRM | POWERINFER_FFN_START, nullptr));
    }
  }

  // The CPU's share, while the device computes its own; a block of which the device has nothing is merged here.
  void compute_rest(uint32_t block, bool device_takes_part) {
    require(powerinfer_device_hidden(device_, hidden_.data()));
    const uint32_t* active = device_takes_part || !predicts() ? on_cpu_[block].data() : nullptr;
    if (device_takes_part && predicts()) {
      require(powerinfer_device_selected(device_, active_.data()));
      for (uint32_t word = 0; word < words_; ++word) active_[word] &= on_cpu_[block][word];
      active = active_.data();
    }
    if (parts == Parts::kAll) {
      const double start = seconds_now();
      cpu_.ffn(block, hidden_.data(), active, partial_.data());
      cpu_ffn_s += seconds_now() - start;
      if (active == nullptr) cpu_predictor_bytes_ += cpu_.planted.predictor_bytes();
    } else {
      std::fill(partial_.begin(), partial_.end(), 0.0f);
    }
    if (!device_takes_part) require(powerinfer_device_merge(device_, block, partial_.data()));
  }

  powerinfer_counters cpu_counters() const {
    powerinfer_counters counters{};
    counters.struct_size = sizeof counters;
    require(powerinfer_counters_read(cpu_.model, &counters));
    return counters;
  }

  const CpuModel& cpu_;
  const powerinfer_model_shape& shape_;
  const Plan plan_;
  const uint32_t words_;
  Handle device_;
  uint32_t cache_ = 0;
  std::vector<float> hidden_, partial_;
  std::vector<uint32_t> active_;
  std::vector<std::vector<uint32_t>> on_cpu_;  // [block], sets
  powerinfer_counters cpu_before_{};
  double device_predictor_bytes_ = 0, cpu_predictor_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> decode_on_device(const CpuModel& cpu, uint32_t plugin, const Plan& plan, double budget_bytes) {
  return std::make_unique<DeviceDecoder>(cpu, plugin, plan, budget_bytes);
}

}  // namespace powerinfer_check
