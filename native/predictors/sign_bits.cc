// score = Σ sign(gate) sign(x) m / √Σ m², m the magnitude of x in a few levels: signs alone guess whether a gate is above zero.
//
// A sum of integers, so every instruction set names the same neurons. If signs agree by chance the score has mean 0 and deviation 1, whatever the width.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../cpu/machine.h"
#include "../cpu/multiply.h"
#include "builtin.h"
#include "kernel_table.h"
#include "sign_levels.h"

namespace powerinfer {
namespace {

constexpr uint32_t kChunkMultiple = 32;  // whole words of a set

struct Layer {
  const uint8_t* signs;  // bits [ffn_width, row_bytes]
  const float* thresholds;
};

class SignBits {
 public:
  explicit SignBits(const powerinfer_plugin_context& context)
      : kernels_(kernels_of(context)), plane_count_(number_of(context, "planes", kPlanesMax)), layers_(context.shape->block_count) {
    const powerinfer_model_shape& s = *context.shape;
    if (plane_count_ == 0) fail(POWERINFER_INVALID_ARGUMENT, "planes is 0; it must be from 1 to %u", kPlanesMax);
    row_bytes_ = (uint64_t{s.hidden_width} + 255) / 256 * 32;
    for (uint32_t block = 0; block < s.block_count; ++block) {
      layers_[block].signs = array_of(context, BlockName("signs", block).text, row_bytes_ * s.ffn_width);
      layers_[block].thresholds =
          reinterpret_cast<const float*>(array_of(context, BlockName("thresholds", block).text, uint64_t{s.ffn_width} * sizeof(float)));
    }
    const uint64_t rows = context.row_count_max;
    require_memory(rows * (s.ffn_width * 8 + (1 + plane_count_) * row_bytes_), "the predictor");
    x_ = Buffer<uint8_t>(rows * (1 + plane_count_) * row_bytes_);
    totals_ = Buffer<uint32_t>(rows);
    lengths_ = Buffer<float>(rows);
    distances_ = Buffer<uint32_t>(rows * s.ffn_width);
    scores_ = Buffer<float>(rows * s.ffn_width);
  }

  void select(const powerinfer_select& call) {
    const Layer& layer = layers_[call.block];
    for_each_call_row(call, [&](uint32_t row) { pack(call, row); });
    const Chunking chunking = chunk_rows_of(row_bytes_, call.ffn_width, row_bytes_ * call.ffn_width, call.thread_count, kChunkMultiple);
    for_each_chunk(call, chunking.chunk_count, [&](uint32_t chunk) {
      const uint32_t first = chunk * chunking.chunk_rows, count = std::min(chunking.chunk_rows, call.ffn_width - first);
      for (uint32_t row = 0; row < call.row_count; ++row) {
        const uint64_t at = uint64_t{row} * call.ffn_width + first;
        const uint8_t* const x = x_of(row);
        kernels_.sign_distances({layer.signs, row_bytes_, first, count, x, x + row_bytes_, plane_count_, &distances_[at]});
        for (uint32_t i = 0; i < count; ++i) {
          scores_[at + i] = static_cast<float>(static_cast<int32_t>(totals_[row]) - 2 * static_cast<int32_t>(distances_[at + i])) / lengths_[row];
        }
        kernels_.mark_above(&scores_[at], layer.thresholds + first, count, call.active + uint64_t{row} * call.words_per_row + first / 32);
      }
    });
  }

 private:
  // The signs of a row, then its planes.
  uint8_t* x_of(uint32_t row) const { return &x_[row * (1 + plane_count_) * row_bytes_]; }

  void pack(const powerinfer_select& call, uint32_t row) {
    const float* const x = call.hidden + uint64_t{row} * call.hidden_width;
    uint8_t* const to = x_of(row);
    std::memset(to, 0, (1 + plane_count_) * row_bytes_);
    double squares = 0;
    for (uint32_t i = 0; i < call.hidden_width; ++i) squares += double{x[i]} * x[i];
    const double mean = std::sqrt(squares / call.hidden_width), level_max = (1u << plane_count_) - 1;
    const double levels = mean > 0 ? kMeanLevel[plane_count_] / mean : 0;
    uint32_t total = 0, length = 0;
    for (uint32_t i = 0; i < call.hidden_width; ++i) {
      const uint8_t bit = static_cast<uint8_t>(1u << i % 8);
      if (x[i] < 0) to[i / 8] = static_cast<uint8_t>(to[i / 8] | bit);
      // One plane: every place weighs the same, as in the paper. A NaN weighs nothing.
      const double level = plane_count_ == 1 ? 1 : std::floor(std::min(std::abs(double{x[i]}) * levels + 0.5, level_max));
      const uint32_t magnitude = level >= 0 ? static_cast<uint32_t>(level) : 0;
      for (uint32_t p = 0; p < plane_count_; ++p) {
        uint8_t& byte = to[(1 + p) * row_bytes_ + i / 8];
        if ((magnitude >> p & 1) != 0) byte = static_cast<uint8_t>(byte | bit);
      }
      total += magnitude;
      length += magnitude * magnitude;
    }
    totals_[row] = total;
    lengths_[row] = std::sqrt(static_cast<float>(std::max(length, 1u)));
  }

  const Kernels& kernels_;
  const uint32_t plane_count_;
  uint64_t row_bytes_;
  std::vector<Layer> layers_;
  Buffer<uint8_t> x_;          // u8[row_count, 1 + planes, row_bytes]
  Buffer<uint32_t> totals_;    // u32[row_count], Σ m
  Buffer<float> lengths_;      // f32[row_count], √Σ m²
  Buffer<uint32_t> distances_; // u32[row_count, ffn_width]
  Buffer<float> scores_;       // f32[row_count, ffn_width]
};

}  // namespace

const powerinfer_predictor_kernels kSignBits = kernels_of<SignBits>(POWERINFER_PREDICTOR_CONFIRMS);

}  // namespace powerinfer
