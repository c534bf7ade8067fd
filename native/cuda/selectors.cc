// Predictors that run on the device: which one runs how?
#include "selectors.h"

#include <cstring>

#include "status.h"

namespace powerinfer::cuda {
namespace {

class PluginSelector : public DeviceSelector {
 public:
  PluginSelector(const SelectorPlace& place, const powerinfer_selector& selector) : shape_(place.shape), kernels_(*selector.kernels), state_(selector.state) {
    const powerinfer_cuda cuda{sizeof cuda, place.ordinal, place.stream};
    if (kernels_.open_cuda(state_, &cuda, &cuda_state_) != POWERINFER_OK) fail(POWERINFER_PLUGIN_FAILED, "%s failed in open_cuda", selector.name);
    // Plugins read rows without gaps.
    const uint64_t floats = row_stride(shape_.hidden_width) == shape_.hidden_width ? 0 : uint64_t{shape_.row_count_max} * shape_.hidden_width;
    dense_ = DeviceMemory(place.budget, floats * sizeof(float), "a predictor's input");
  }

  void select(uint32_t block, const SelectInput& input, uint32_t* active, cudaStream_t stream) override {
    const uint32_t words = (shape_.ffn_width + 31) / 32;
    const float* hidden = input.hidden.values;
    if (dense_.bytes() != nullptr) {
      const uint64_t width_bytes = uint64_t{shape_.hidden_width} * sizeof(float);
      check(cudaMemcpy2DAsync(dense_.bytes(), width_bytes, hidden, input.hidden.stride * sizeof(float), width_bytes, input.row_count, cudaMemcpyDeviceToDevice, stream),
            "copy a predictor's input");
      hidden = reinterpret_cast<const float*>(dense_.bytes());
    }
    check(cudaMemsetAsync(active, 0, uint64_t{input.row_count} * words * sizeof(uint32_t), stream), "clear the neurons' names");
    const powerinfer_select_cuda call{sizeof call, block, input.row_count, shape_.hidden_width, shape_.ffn_width, words, hidden, active, stream};
    if (kernels_.select_cuda(state_, cuda_state_, &call) != POWERINFER_OK) fail(POWERINFER_PLUGIN_FAILED, "the predictor failed in select_cuda");
  }

 private:
  const powerinfer_model_shape& shape_;
  const powerinfer_predictor_kernels& kernels_;
  void* const state_;
  void* cuda_state_ = nullptr;
  DeviceMemory dense_;  // f32[row_count_max, hidden_width]
};

}  // namespace

std::unique_ptr<DeviceSelector> plugin_selector(const SelectorPlace& place, const powerinfer_selector& selector) {
  return std::make_unique<PluginSelector>(place, selector);
}

void Selectors::prepare(const powerinfer_selector& selector) {
  if (ready_.find(selector.predictor) != ready_.end()) return;
  std::unique_ptr<DeviceSelector> made;
  const bool named = POWERINFER_HAS(&selector, name) && POWERINFER_HAS(&selector, context);
  if (selector.kernels->select_cuda != nullptr) made = plugin_selector(place_, selector);
  else if (named && std::strcmp(selector.name, "low_rank") == 0) made = low_rank_selector(place_, *selector.context);
  else if (named && std::strcmp(selector.name, "sign_bits") == 0) made = sign_bits_selector(place_, *selector.context);
  else fail(POWERINFER_UNSUPPORTED, "the predictor has no CUDA kernels");
  ready_.emplace(selector.predictor, std::move(made));
}

DeviceSelector& Selectors::of(const powerinfer_selector& selector) {
  prepare(selector);
  return *ready_.find(selector.predictor)->second;
}

}  // namespace powerinfer::cuda
