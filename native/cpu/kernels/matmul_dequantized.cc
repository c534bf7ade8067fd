// Weights decoded block by block, then multiplied with f32 activations: for formats without a kernel of their own.
#include "horizontal_sum.h"
#include "matmul_tiles.h"
#include "variants.h"

namespace powerinfer {

// The definition. Every other variant may differ from it by rounding only.
template <class Block>
void matmul_dequantized_scalar(const Matmul& op) {
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint32_t column = weight_row(op, i);
    const Block* blocks = reinterpret_cast<const Block*>(op.weight + column * op.row_bytes);
    for (uint32_t r = 0; r < op.x.count; ++r) op.out[r * op.out_stride + column] = 0;
    for (uint32_t k = 0; k < op.x.width; k += Block::kWeights) {
      float weights[Block::kWeights];
      decode(blocks[k / Block::kWeights], weights);
      for (uint32_t r = 0; r < op.x.count; ++r) {
        const float* x = op.x.values + r * op.x.stride + k;
        float& sum = op.out[r * op.out_stride + column];
        for (uint32_t j = 0; j < Block::kWeights; ++j) sum += weights[j] * x[j];
      }
    }
  }
}

#if POWERINFER_X86
namespace {

template <class Block>
struct Avx2 {
  static constexpr uint32_t kBatch = 2;

  template <uint32_t R, uint32_t C>
  TARGET_AVX2 static void tile(const MatmulTile& tile) {
    const Rows& x = tile.op.x;
    const float* values = x.values + tile.row * x.stride;
    __m256 sums[R][C];
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) sums[r][c] = _mm256_setzero_ps();
    for (uint32_t k = 0; k < x.width; k += Block::kWeights) {
      alignas(32) float weights[R][Block::kWeights];
      // The compiler vectorizes decode() well once it may use AVX2.
      FOR_REGISTERS(r, R) decode(reinterpret_cast<const Block*>(tile.weights[r])[k / Block::kWeights], weights[r]);
      for (uint32_t j = 0; j < Block::kWeights; j += 8)
        FOR_REGISTERS(c, C) {
          const __m256 v = _mm256_loadu_ps(values + c * x.stride + k + j);
          FOR_REGISTERS(r, R) sums[r][c] = _mm256_fmadd_ps(_mm256_load_ps(weights[r] + j), v, sums[r][c]);
        }
    }
    FOR_REGISTERS(r, R)
      FOR_REGISTERS(c, C) tile.op.out[(tile.row + c) * tile.op.out_stride + tile.columns[r]] = horizontal_sum(sums[r][c]);
  }
};

}  // namespace

template <class Block>
void matmul_dequantized_avx2(const Matmul& op) {
  run_matmul_tiles<Avx2<Block>>(op);
}

template void matmul_dequantized_avx2<BlockQ4_1>(const Matmul&);
template void matmul_dequantized_avx2<BlockQ5_0>(const Matmul&);
template void matmul_dequantized_avx2<BlockQ5_1>(const Matmul&);
template void matmul_dequantized_avx2<BlockQ2_K>(const Matmul&);
template void matmul_dequantized_avx2<BlockQ3_K>(const Matmul&);
template void matmul_dequantized_avx2<BlockQ5_K>(const Matmul&);
#endif

template void matmul_dequantized_scalar<BlockQ4_1>(const Matmul&);
template void matmul_dequantized_scalar<BlockQ5_0>(const Matmul&);
template void matmul_dequantized_scalar<BlockQ5_1>(const Matmul&);
template void matmul_dequantized_scalar<BlockQ2_K>(const Matmul&);
template void matmul_dequantized_scalar<BlockQ3_K>(const Matmul&);
template void matmul_dequantized_scalar<BlockQ5_K>(const Matmul&);

}  // namespace powerinfer
