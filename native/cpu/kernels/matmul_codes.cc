// Quantized weights times activation codes: the definition, whose bits matmul_codes_avx2 and matmul_codes_vnni give too.
#include <cmath>
#include "matmul_tiles.h"
#include "step_codes.h"
#include "variants.h"

namespace powerinfer {
// Exact integer dot products inside every group of weights that shares a scale; f32 from there on, one group after the other:
//   sum = fma(scale · x_scale, Σ code · x_code, sum), then, where weights have offsets, sum = fma(offset · x_scale, Σ x_code, sum)
template <class Block>
void matmul_codes_scalar(const Matmul& op) {
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint32_t column = weight_row(op, i);
    const Block* weight = reinterpret_cast<const Block*>(op.weight + column * op.row_bytes);
    for (uint32_t row = 0; row < op.x.count; ++row) {
      float sum = 0;
      for (uint32_t k = 0; k < op.x.width; k += Block::kWeights) {
        int8_t codes[Block::kWeights];
        float scales[Block::kWeights / Block::kGroup], offsets[Block::kWeights / Block::kGroup];
        weight[k / Block::kWeights].split(codes, scales, offsets);
        for (uint32_t group = 0; group < Block::kWeights / Block::kGroup; ++group) {
          const uint32_t first = group * Block::kGroup;
          const uint64_t at = uint64_t{(k + first) / 32} * op.x.count + row;
          const float scale_of_x = x_scale<Block>(op.x, at);
          int32_t dot = 0, x_sum = 0;
          for (uint32_t j = 0; j < Block::kGroup; ++j) {
            const int32_t x = x_code<Block>(op.x, at, (first + j) % 32);
            dot += codes[first + j] * x;
            x_sum += x;
          }
          sum = std::fma(scales[group] * scale_of_x, static_cast<float>(dot), sum);
          if constexpr (Block::kHasOffset) sum = std::fma(offsets[group] * scale_of_x, static_cast<float>(x_sum), sum);
        }
      }
      op.out[row * op.out_stride + column] = sum;
    }
  }
}

template void matmul_codes_scalar<BlockQ8_0>(const Matmul&);
template void matmul_codes_scalar<BlockQ4_0>(const Matmul&);
template void matmul_codes_scalar<BlockQ4_K>(const Matmul&);
template void matmul_codes_scalar<BlockQ6_K>(const Matmul&);
template void matmul_codes_scalar<BlockG2>(const Matmul&);
template void matmul_codes_scalar<BlockG3>(const Matmul&);

}  // namespace powerinfer
