// score = proxy · x / |x|: a gate of two or three bits a weight guesses whether the real one is above zero.
//
// The proxy is multiplied as quantized matrices are: integer dot products with 8-bit codes of x, then one float32 chain over the groups, so every
// instruction set names the same neurons.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../cpu/machine.h"
#include "../cpu/multiply.h"
#include "builtin.h"
#include "kernel_table.h"

namespace powerinfer {
namespace {

constexpr uint32_t kChunkMultiple = 32;  // whole words of a set

struct Layer {
  Matrix proxy;  // [hidden_width, rounded up to whole blocks; ffn_width]
  const float* thresholds;
};

class QuantizedGate {
 public:
  explicit QuantizedGate(const powerinfer_plugin_context& context) : kernels_(kernels_of(context)), layers_(context.shape->block_count) {
    const powerinfer_model_shape& s = *context.shape;
    const uint32_t bits = number_of(context, "bits", 3);
    if (bits < 2) fail(POWERINFER_INVALID_ARGUMENT, "bits is %u; it must be 2 or 3", bits);
    if (s.hidden_width % 32 != 0) fail(POWERINFER_UNSUPPORTED, "hidden_width is %u; it must be a multiple of 32", s.hidden_width);
    const uint32_t type = bits == 2 ? G2 : G3, width = (s.hidden_width + 63) / 64 * 64;
    const uint64_t bytes_of_row = row_bytes(type, width), rows = context.row_count_max;
    for (uint32_t block = 0; block < s.block_count; ++block) {
      Layer& layer = layers_[block];
      layer.proxy.bytes = array_of(context, BlockName("proxy", block).text, bytes_of_row * s.ffn_width);
      layer.proxy.type = type;
      layer.proxy.width = width;
      layer.proxy.rows = s.ffn_width;
      layer.proxy.row_bytes = bytes_of_row;
      layer.thresholds = reinterpret_cast<const float*>(array_of(context, BlockName("thresholds", block).text, uint64_t{s.ffn_width} * sizeof(float)));
    }
    const uint64_t layer_bytes = kernels_.reads_panels ? panels_bytes(bytes_of_row, s.ffn_width) : 0;
    require_memory(layer_bytes * s.block_count + rows * (width + s.ffn_width) * sizeof(float), "the predictor");
    ThreadPool alone(1);
    for (Layer& layer : layers_) {
      if (layer_bytes == 0) break;
      uint8_t* const panels = resident_.take(layer_bytes);
      write_panels(alone, type, layer.proxy.bytes, bytes_of_row, s.ffn_width, panels);
      layer.proxy.panels = panels;
    }
    codes_ = make_codes(rows, width);
    lengths_ = Buffer<float>(rows);
    scores_ = Buffer<float>(rows * s.ffn_width);
  }

  void select(const powerinfer_select& call) {
    const Layer& layer = layers_[call.block];
    const Matrix& proxy = layer.proxy;
    const Forms forms(kernels_, {&proxy});
    for_each_call_row(call, [&](uint32_t row) {
      const float* const x = call.hidden + uint64_t{row} * call.hidden_width;
      quantize(kernels_, forms, codes_, x, row, call.row_count, 0, call.hidden_width);
      for (uint32_t at = call.hidden_width; at < proxy.width; at += 32) blank(at / 32 * call.row_count + row);
      double squares = 0;
      for (uint32_t i = 0; i < call.hidden_width; ++i) squares += double{x[i]} * x[i];
      lengths_[row] = static_cast<float>(std::sqrt(squares));
    });
    const Rows x = rows_of(call.hidden, call.hidden_width, call.row_count, proxy.width, codes_);
    const Chunking chunking = chunk_rows_of(proxy.row_bytes, call.ffn_width, proxy.row_bytes * call.ffn_width, call.thread_count, kChunkMultiple);
    for_each_chunk(call, chunking.chunk_count, [&](uint32_t chunk) {
      const uint32_t first = chunk * chunking.chunk_rows, count = std::min(chunking.chunk_rows, call.ffn_width - first);
      multiply(kernels_, proxy, nullptr, first, count, x, scores_.get(), call.ffn_width);
      for (uint32_t row = 0; row < call.row_count; ++row) {
        float* const scores = &scores_[uint64_t{row} * call.ffn_width + first];
        for (uint32_t i = 0; i < count; ++i) scores[i] /= lengths_[row];
        kernels_.mark_above(scores, layer.thresholds + first, count, call.active + uint64_t{row} * call.words_per_row + first / 32);
      }
    });
  }

 private:
  // A step of x that is not there.
  void blank(uint64_t step) {
    std::fill(&codes_.bytes[step * 32], &codes_.bytes[step * 32] + 32, int8_t{0});
    codes_.byte_scales[step] = 0;
    codes_.sums[step * 2] = codes_.sums[step * 2 + 1] = 0;
  }

  const Kernels& kernels_;
  std::vector<Layer> layers_;
  ResidentMemory resident_;
  Codes codes_;
  Buffer<float> lengths_;  // f32[row_count], |x|
  Buffer<float> scores_;   // f32[row_count, ffn_width]
};

}  // namespace

const powerinfer_predictor_kernels kQuantizedGate = kernels_of<QuantizedGate>(POWERINFER_PREDICTOR_CONFIRMS);

}  // namespace powerinfer
