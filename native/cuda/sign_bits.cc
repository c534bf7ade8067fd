// `sign_bits` of powerinfer.h on the device: integers all the way, so it names the neurons that the CPU does.
#include "selectors.h"
#include "settings.h"

namespace powerinfer::cuda {
namespace {

struct Layer {
  const uint8_t* signs;
  const float* thresholds;
};

class SignBits : public DeviceSelector {
 public:
  SignBits(const SelectorPlace& place, const powerinfer_plugin_context& context)
      : shape_(place.shape), plane_count_(number_of(context, "planes")), row_bytes_((shape_.hidden_width + 255) / 256 * 32), layers_(shape_.block_count) {
    Layout measured;
    lay_out(context, measured, nullptr);
    memory_ = DeviceMemory(place.budget, measured.size_bytes(), "the predictor");
    Layout layout(memory_.bytes());
    lay_out(context, layout, place.stream);
  }

  void select(uint32_t block, const SelectInput& input, uint32_t* active, cudaStream_t stream) override {
    const Layer& layer = layers_[block];
    const uint32_t words = (shape_.ffn_width + 31) / 32;
    launch_pack_signs({input.hidden, input.row_count, plane_count_, row_bytes_, bits_, totals_, lengths_}, stream);
    launch_sign_scores({layer.signs, bits_, totals_, lengths_, plane_count_, row_bytes_, shape_.ffn_width, input.row_count, scores_, score_stride_}, stream);
    launch_mark_above({scores_, score_stride_, layer.thresholds, shape_.ffn_width, input.row_count, active, words}, stream);
  }

 private:
  void lay_out(const powerinfer_plugin_context& context, Layout& layout, cudaStream_t stream) {
    for (uint32_t block = 0; block < shape_.block_count; ++block) {
      uint8_t* const signs = layout.take<uint8_t>(uint64_t{row_bytes_} * shape_.ffn_width);
      float* const thresholds = layout.take<float>(shape_.ffn_width);
      if (stream != nullptr) {
        send_array(array_of(context, "signs", block), signs, stream);
        send_array(array_of(context, "thresholds", block), thresholds, stream);
      }
      layers_[block] = {signs, thresholds};
    }
    const uint64_t rows = shape_.row_count_max;
    score_stride_ = row_stride(shape_.ffn_width);
    bits_ = layout.take<uint8_t>(rows * (1 + plane_count_) * row_bytes_);
    totals_ = layout.take<uint32_t>(rows);
    lengths_ = layout.take<float>(rows);
    scores_ = layout.take<float>(rows * score_stride_);
  }

  const powerinfer_model_shape& shape_;
  const uint32_t plane_count_, row_bytes_;
  std::vector<Layer> layers_;
  DeviceMemory memory_;
  uint8_t* bits_ = nullptr;
  uint32_t* totals_ = nullptr;
  float* lengths_ = nullptr;
  float* scores_ = nullptr;
  uint64_t score_stride_ = 0;
};

}  // namespace

std::unique_ptr<DeviceSelector> sign_bits_selector(const SelectorPlace& place, const powerinfer_plugin_context& context) {
  return std::make_unique<SignBits>(place, context);
}

}  // namespace powerinfer::cuda
