// score = up · f(down · x), f the identity or max(0, ·): two thin matrices guess a value for every neuron.
//
// They are multiplied as the model's own matrices are: by the same kernels, from panels where the type has them, so a score has one accumulation
// order whatever the batch, the slice or the number of threads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../cpu/machine.h"
#include "../cpu/multiply.h"
#include "builtin.h"
#include "kernel_table.h"

namespace powerinfer {
namespace {

constexpr uint32_t kRankMax = 1u << 20;
// Rows that a thread takes at a time are a multiple of this: whole words of a set, and whole groups of codes.
constexpr uint32_t kChunkMultiple = 32;

struct Layer {
  Matrix down;  // [hidden_width, rank]
  Matrix up;    // [rank, rounded up to whole blocks; ffn_width]
  const float* thresholds;
};

class LowRank {
 public:
  explicit LowRank(const powerinfer_plugin_context& context)
      : kernels_(kernels_of(context)), relu_(powerinfer_option_number(&context, "relu", 0) != 0),
        reads_residual_(powerinfer_option_number(&context, "residual", 0) != 0), layers_(context.shape->block_count) {
    const powerinfer_model_shape& s = *context.shape;
    uint64_t panel_bytes = 0;
    uint32_t width_max = 0;
    for (uint32_t block = 0; block < s.block_count; ++block) {
      Layer& layer = layers_[block];
      const uint32_t rank = number_of(context, BlockName("rank", block).text, kRankMax);
      layer.down = matrix_of(context, "down", block, s.hidden_width, rank, false);
      layer.up = matrix_of(context, "up", block, rank, s.ffn_width, true);
      layer.thresholds = reinterpret_cast<const float*>(array_of(context, BlockName("thresholds", block).text, uint64_t{s.ffn_width} * sizeof(float)));
      width_max = std::max(width_max, layer.up.width);
      for (const Matrix* matrix : {&layer.down, &layer.up}) panel_bytes += wants_panels(*matrix) ? panels_bytes(matrix->row_bytes, matrix->rows) : 0;
    }
    const uint64_t rows = context.row_count_max;
    require_memory(panel_bytes + rows * (uint64_t{width_max} + s.ffn_width) * sizeof(float), "the predictor");
    ThreadPool alone(1);
    for (Layer& layer : layers_) {
      for (Matrix* matrix : {&layer.down, &layer.up}) {
        if (!wants_panels(*matrix)) continue;
        uint8_t* const panels = resident_.take(panels_bytes(matrix->row_bytes, matrix->rows));
        write_panels(alone, matrix->type, matrix->bytes, matrix->row_bytes, matrix->rows, panels);
        matrix->panels = panels;
      }
    }
    input_codes_ = make_codes(rows, s.hidden_width);
    middle_ = Buffer<float>(rows * std::max(width_max, 1u));
    middle_codes_ = make_codes(rows, width_max);
    scores_ = Buffer<float>(rows * s.ffn_width);
  }

  void select(const powerinfer_select& call) {
    const Layer& layer = layers_[call.block];
    const float* const input = reads_residual_ ? residual_of(call) : call.hidden;
    const Forms forms(kernels_, {&layer.down});
    if (forms.any()) {
      for_each_call_row(call, [&](uint32_t row) {
        quantize(kernels_, forms, input_codes_, input + uint64_t{row} * call.hidden_width, row, call.row_count, 0, call.hidden_width);
      });
    }
    reduce(call, layer, rows_of(input, call.hidden_width, call.row_count, call.hidden_width, input_codes_));
    score(call, layer, rows_of(middle_.get(), layer.up.width, call.row_count, layer.up.width, middle_codes_));
  }

 private:
  Matrix matrix_of(const powerinfer_plugin_context& context, const char* name, uint32_t block, uint32_t width, uint32_t rows, bool rounds_up) const {
    Matrix matrix;
    const BlockName type_name(rounds_up ? "up_type" : "down_type", block);
    matrix.type = number_of(context, type_name.text, kFileTypeCount - 1);
    if (kernels_.matmul[matrix.type] == nullptr) {
      fail(POWERINFER_UNSUPPORTED, "%s is %u, a type that the library does not multiply", type_name.text, matrix.type);
    }
    uint32_t block_weights = 1;
    while (row_bytes(matrix.type, block_weights) == 0) block_weights *= 2;
    matrix.width = (width + block_weights - 1) / block_weights * block_weights;
    if (matrix.width != width && !rounds_up) {
      fail(POWERINFER_INVALID_ARGUMENT, "%s is %u, whose blocks do not divide hidden_width %u", type_name.text, matrix.type, width);
    }
    matrix.rows = rows;
    matrix.row_bytes = row_bytes(matrix.type, matrix.width);
    if (rows == 0 || matrix.width == 0) return matrix;
    matrix.bytes = array_of(context, BlockName(name, block).text, matrix.row_bytes * rows);
    return matrix;
  }

  bool wants_panels(const Matrix& matrix) const { return matrix.bound() && kernels_.reads_panels && has_panels(matrix.type); }

  // middle = f(down · x), with zeros from rank on, and its codes.
  void reduce(const powerinfer_select& call, const Layer& layer, const Rows& x) {
    const Matrix& down = layer.down;
    const uint32_t width = layer.up.width;
    if (width == 0) return;
    const Forms forms(kernels_, {&layer.up});
    const Chunking chunking = chunk_rows_of(down.row_bytes, width, down.row_bytes * width, call.thread_count, kChunkMultiple);
    for_each_chunk(call, chunking.chunk_count, [&](uint32_t chunk) {
      const uint32_t first = chunk * chunking.chunk_rows, end = std::min(first + chunking.chunk_rows, width);
      const uint32_t within = std::min(std::max(first, down.rows), end);  // where the rank ends
      multiply(kernels_, down, nullptr, first, within - first, x, middle_.get(), width);
      for (uint32_t row = 0; row < call.row_count; ++row) {
        float* const values = &middle_[uint64_t{row} * width];
        if (relu_) for (uint32_t i = first; i < within; ++i) values[i] = values[i] < 0 ? 0 : values[i];
        std::fill(values + within, values + end, 0.0f);
        if (forms.any()) quantize(kernels_, forms, middle_codes_, values, row, call.row_count, first, end);
      }
    });
  }

  // active = up · middle > thresholds.
  void score(const powerinfer_select& call, const Layer& layer, const Rows& middle) {
    const Matrix& up = layer.up;
    const uint64_t neuron_bytes = up.row_bytes + sizeof(float);
    const Chunking chunking = chunk_rows_of(neuron_bytes, call.ffn_width, neuron_bytes * call.ffn_width, call.thread_count, kChunkMultiple);
    for_each_chunk(call, chunking.chunk_count, [&](uint32_t chunk) {
      const uint32_t first = chunk * chunking.chunk_rows, count = std::min(chunking.chunk_rows, call.ffn_width - first);
      if (up.bound()) multiply(kernels_, up, nullptr, first, count, middle, scores_.get(), call.ffn_width);
      for (uint32_t row = 0; row < call.row_count; ++row) {
        float* const scores = &scores_[uint64_t{row} * call.ffn_width + first];
        if (!up.bound()) std::fill(scores, scores + count, 0.0f);
        kernels_.mark_above(scores, layer.thresholds + first, count, call.active + uint64_t{row} * call.words_per_row + first / 32);
      }
    });
  }

  const Kernels& kernels_;
  const bool relu_;
  const bool reads_residual_;
  std::vector<Layer> layers_;
  ResidentMemory resident_;
  Codes input_codes_;
  Buffer<float> middle_;  // f32[row_count, up.width]
  Codes middle_codes_;
  Buffer<float> scores_;  // f32[row_count, ffn_width]
};

}  // namespace

const powerinfer_predictor_kernels kLowRank = kernels_of<LowRank>(0);

}  // namespace powerinfer
