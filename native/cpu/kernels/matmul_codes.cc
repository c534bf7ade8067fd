// Quantized weights times activation codes: the definition that matmul_q4_0, q4_k and q6_k speed up.
#include "matmul_tiles.h"
#include "variants.h"

namespace powerinfer {

// Exact integer dot products inside every group of weights that shares a scale, f32 from there on:
//   Σ groups (scale · x_scale) · Σ code · x_code  +  (offset · x_scale) · Σ x_code
template <class Block>
void matmul_codes_scalar(const Matmul& op) {
  const uint32_t width = op.x.width;
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint32_t column = weight_row(op, i);
    const Block* weight = reinterpret_cast<const Block*>(op.weight + column * op.row_bytes);
    for (uint32_t r = 0; r < op.x.count; ++r) {
      const int8_t* x_codes = op.x.codes + uint64_t{r} * width;
      const float* x_scales = op.x.scales + uint64_t{r} * (width / 32);
      float sum = 0;
      for (uint32_t k = 0; k < width; k += Block::kGroup) {
        int8_t codes[Block::kWeights];
        float scales[Block::kWeights / Block::kGroup], offsets[Block::kWeights / Block::kGroup];
        const uint32_t in_block = k % Block::kWeights, group = in_block / Block::kGroup;
        weight[k / Block::kWeights].split(codes, scales, offsets);
        int32_t dot = 0, x_sum = 0;
        for (uint32_t j = 0; j < Block::kGroup; ++j) {
          dot += codes[in_block + j] * x_codes[k + j];
          x_sum += x_codes[k + j];
        }
        sum += scales[group] * x_scales[k / 32] * static_cast<float>(dot);
        if constexpr (Block::kHasOffset) sum += offsets[group] * x_scales[k / 32] * static_cast<float>(x_sum);
      }
      op.out[r * op.out_stride + column] = sum;
    }
  }
}

template void matmul_codes_scalar<BlockQ4_0>(const Matmul&);
template void matmul_codes_scalar<BlockQ4_K>(const Matmul&);
template void matmul_codes_scalar<BlockQ6_K>(const Matmul&);

}  // namespace powerinfer
