// `low_rank` of powerinfer.h on the device: score = up · f(down · x), its matrices as planes like the model's own.
#include "pack.h"
#include "selectors.h"
#include "settings.h"

namespace powerinfer::cuda {
namespace {

struct Layer {
  DeviceMatrix down, up;
  const float* thresholds;
};

class LowRank : public DeviceSelector {
 public:
  LowRank(const SelectorPlace& place, const powerinfer_plugin_context& context)
      : shape_(place.shape), relu_(powerinfer_option_number(&context, "relu", 0) != 0),
        reads_residual_(powerinfer_option_number(&context, "residual", 0) != 0), layers_(shape_.block_count) {
    Layout measured;
    lay_out(context, measured, nullptr);
    memory_ = DeviceMemory(place.budget, measured.size_bytes(), "the predictor");
    Layout layout(memory_.bytes());
    lay_out(context, layout, place.stream);
  }

  void select(uint32_t block, const SelectInput& input, uint32_t* active, cudaStream_t stream) override {
    const Layer& layer = layers_[block];
    const uint32_t words = (shape_.ffn_width + 31) / 32;
    const DeviceRows& x = reads_residual_ ? input.residual : input.hidden;
    if (layer.up.bound()) {
      const DeviceRows middle{middle_, row_stride(layer.up.width), layer.up.width};
      if (middle.stride != layer.down.rows) {  // behind a row's rank is what blocks of other ranks left there, which may be NaN
        check(cudaMemsetAsync(middle_, 0, uint64_t{input.row_count} * middle.stride * sizeof(float), stream), "clear the predictor's sums");
      }
      launch_multiply({layer.down, nullptr, false, x, input.row_count, middle.values, middle.stride}, stream);
      if (relu_) launch_activate({middle.values, nullptr, middle.stride, layer.down.rows, input.row_count, POWERINFER_ACTIVATION_RELU, 0}, stream);
      launch_multiply({layer.up, nullptr, false, middle, input.row_count, scores_, score_stride_}, stream);
    } else {
      check(cudaMemsetAsync(scores_, 0, input.row_count * score_stride_ * sizeof(float), stream), "clear the scores");
    }
    launch_mark_above({scores_, score_stride_, layer.thresholds, shape_.ffn_width, input.row_count, active, words}, stream);
  }

 private:
  // A matrix [width, rows] of the array `name`; copied if there is a stream.
  DeviceMatrix matrix(const powerinfer_plugin_context& context, Layout& layout, cudaStream_t stream, const char* name, const char* type_name, uint32_t block,
                      uint32_t width, uint32_t rows) {
    const uint32_t type = number_of(context, type_name, block);
    const uint32_t whole_width = whole_blocks(type, width);
    if (whole_width == 0 || rows == 0) return {};
    const MatrixSource source{type, whole_width, rows, array_of(context, name, block).bytes};
    const MatrixLayout planes = layout_of(source);
    uint8_t* const to = layout.take<uint8_t>(planes.size_bytes);
    if (stream != nullptr) send_matrix(source, to, stream);
    return matrix_at(source, planes, to).rows;
  }

  void lay_out(const powerinfer_plugin_context& context, Layout& layout, cudaStream_t stream) {
    uint32_t middle_stride = 0;
    for (uint32_t block = 0; block < shape_.block_count; ++block) {
      Layer& layer = layers_[block];
      const uint32_t rank = number_of(context, "rank", block);
      layer.down = matrix(context, layout, stream, "down", "down_type", block, shape_.hidden_width, rank);
      layer.up = matrix(context, layout, stream, "up", "up_type", block, rank, shape_.ffn_width);
      float* const thresholds = layout.take<float>(shape_.ffn_width);
      if (stream != nullptr) send_array(array_of(context, "thresholds", block), thresholds, stream);
      layer.thresholds = thresholds;
      middle_stride = std::max(middle_stride, row_stride(layer.up.width));
    }
    score_stride_ = row_stride(shape_.ffn_width);
    middle_ = layout.take<float>(uint64_t{shape_.row_count_max} * middle_stride);
    scores_ = layout.take<float>(shape_.row_count_max * score_stride_);
  }

  const powerinfer_model_shape& shape_;
  const bool relu_, reads_residual_;
  std::vector<Layer> layers_;
  DeviceMemory memory_;
  float* middle_ = nullptr;  // f32[row_count_max, row_stride(up.width)]
  float* scores_ = nullptr;  // f32[row_count_max, score_stride]
  uint64_t score_stride_ = 0;
};

}  // namespace

std::unique_ptr<DeviceSelector> low_rank_selector(const SelectorPlace& place, const powerinfer_plugin_context& context) {
  return std::make_unique<LowRank>(place, context);
}

}  // namespace powerinfer::cuda
