// What do all neurons of a share add, in many rows of a batch?
//
// `down` lies by neuron, so a lane takes an octet of columns of eight batch rows, 64 sums in registers, and goes along the neurons; each weight that
// was decoded is used eight times. The warps of a block share the neurons: warp w takes w, w + 8, …, and the warps' sums are added in ascending order.
#include "../definitions.h"
#include "../octet.cuh"

namespace powerinfer::cuda {

void down_dense_definition(const DownDense& op, const float* down) {
  for (uint32_t r = 0; r < op.row_count; ++r)
    for (uint32_t c = 0; c < op.out.width; ++c) {
      const float* const activation = op.activation + r * op.activation_stride;
      double sum = 0;
      for (uint32_t n = 0; n < op.down.rows.rows; ++n) sum += double{activation[n]} * down[uint64_t{n} * op.out.width + c];
      op.out.values[uint64_t{r} * op.out.stride + c] = static_cast<float>(sum);
    }
}

namespace {

constexpr uint32_t kBatch = 8;
constexpr uint32_t kColumns = 256;  // of a block: an octet a lane
constexpr uint32_t kWarps = 8;

template <uint32_t Type>
__global__ void __launch_bounds__(32 * kWarps) down_dense(DownDense op) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint32_t i = blockIdx.y * (kColumns / 8) + lane;
  const float* activation[kBatch];
#pragma unroll
  for (uint32_t b = 0; b < kBatch; ++b) activation[b] = op.activation + min(blockIdx.x * kBatch + b, op.row_count - 1) * op.activation_stride;

  float sums[kBatch][8] = {};
  if (8 * i < op.out.width) {
    for (uint32_t n = warp; n < op.down.rows.rows; n += kWarps) {
      float w[8];
      weights_at<Type>(op.down, n, i, w);
#pragma unroll
      for (uint32_t b = 0; b < kBatch; ++b) {
        const float a = activation[b][n];
#pragma unroll
        for (uint32_t k = 0; k < 8; ++k) sums[b][k] = fmaf(a, w[k], sums[b][k]);
      }
    }
  }

  // One batch row after the other. Weight k of lane l lies at 36 k + l, so that neither side meets a bank twice.
  constexpr uint32_t kStride = 36;
  __shared__ float tile[kWarps][8 * kStride];
  const uint32_t column = blockIdx.y * kColumns + threadIdx.x;
#pragma unroll
  for (uint32_t b = 0; b < kBatch; ++b) {
#pragma unroll
    for (uint32_t k = 0; k < 8; ++k) tile[warp][k * kStride + lane] = sums[b][k];
    __syncthreads();
    float sum = 0;
    for (uint32_t w = 0; w < kWarps; ++w) sum += tile[w][threadIdx.x % 8 * kStride + threadIdx.x / 8];
    const uint32_t row = blockIdx.x * kBatch + b;
    if (row < op.row_count && column < op.out.width) op.out.values[uint64_t{row} * op.out.stride + column] = sum;
    __syncthreads();
  }
}

static_assert(32 * kWarps == kColumns, "a thread a column when the warps are added");

}  // namespace

void launch_down_dense(const DownDense& op, cudaStream_t stream) {
  const dim3 grid((op.row_count + kBatch - 1) / kBatch, (op.out.width + kColumns - 1) / kColumns);
  with_type(op.down.rows.type, [&](auto type) { CUDA_LAUNCH(down_dense<type>, grid, 32 * kWarps, 0, stream, op); });
}

}  // namespace powerinfer::cuda
