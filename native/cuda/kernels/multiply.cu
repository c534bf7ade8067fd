// Matrix times the rows of a batch, few or many.
//
// A warp multiplies a few weight rows with up to eight batch rows. Its lanes lie along the width: lane l takes octets l, l + 32, …, so that the warp
// reads weights in runs and no lane waits for another until the end, where the lanes' sums are added. For one batch row the weights' way from memory
// is what takes the time; for eight, each weight that was decoded is used eight times, and each value that was read four times, from registers. Larger
// batches are eights beside each other, which find the weights in the L2 cache. An output is summed in the same order in all of them; tiles in shared
// memory, the usual way for large batches, would be a second order, and tokens would depend on how many rows are computed together.
#include <algorithm>

#include "../definitions.h"
#include "../octet.cuh"
#include "lane_sums.cuh"
#include "octet_products.cuh"

namespace powerinfer::cuda {

void multiply_definition(const Multiply& op, const float* weight) {
  const uint32_t width = op.weight.width;
  for (uint32_t r = 0; r < op.row_count; ++r)
    for (uint32_t n = 0; n < op.weight.rows; ++n) {
      const float* const x = op.x.values + uint64_t{r} * op.x.stride;
      double sum = op.bias == nullptr ? 0 : op.bias[n];
      for (uint32_t i = 0; i < width; ++i) sum += double{weight[uint64_t{n} * width + i]} * x[i];
      float& out = op.out[r * op.out_stride + n];
      out = static_cast<float>(op.add ? out + sum : sum);
    }
}

namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kBatchMax = 8;

// Weight rows of a warp. Several loads are under way at once: four octets, of as many rows or of two steps along two.
template <uint32_t Batch>
constexpr uint32_t kWeightRows = Batch <= 2 ? 2 : 4;

// Block (b, y): batch rows from Batch * b on. Rows past the last, of either side, repeat it and are dropped.
template <uint32_t Type, uint32_t Batch>
__global__ void __launch_bounds__(32 * kWarps) multiply(Multiply op) {
  constexpr uint32_t kRows = kWeightRows<Batch>;
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t octets = (op.weight.width + 7) / 8;
  const uint32_t tiles = (op.weight.rows + kRows - 1) / kRows;
  const float* x[Batch];
#pragma unroll
  for (uint32_t b = 0; b < Batch; ++b) x[b] = op.x.values + uint64_t{min(blockIdx.x * Batch + b, op.row_count - 1)} * op.x.stride;

  for (uint32_t tile = blockIdx.y * kWarps + threadIdx.x / 32; tile < tiles; tile += gridDim.y * kWarps) {
    float sums[kRows * Batch] = {};
#pragma unroll 4 / kRows
    for (uint32_t i = lane; i < octets; i += 32) {
      float w[kRows][8];
#pragma unroll
      for (uint32_t n = 0; n < kRows; ++n) octet<Type>(op.weight, min(tile * kRows + n, op.weight.rows - 1), i, w[n]);
#pragma unroll
      for (uint32_t b = 0; b < Batch; ++b) {
        float values[8];
        load_octet(x[b] + 8 * i, values);
#pragma unroll
        for (uint32_t n = 0; n < kRows; ++n) sums[n * Batch + b] = add_products(w[n], values, sums[n * Batch + b]);
      }
    }
    float sum = lane_sums(sums);
    const uint32_t which = lane * (kRows * Batch) / 32;
    const uint32_t n = tile * kRows + which / Batch;
    const uint32_t row = blockIdx.x * Batch + which % Batch;
    if (lane % (32 / (kRows * Batch)) != 0 || n >= op.weight.rows || row >= op.row_count) continue;
    float& out = op.out[row * op.out_stride + n];
    if (op.bias != nullptr) sum += op.bias[n];
    out = op.add ? out + sum : sum;
  }
}

template <uint32_t Batch>
void launch(const Multiply& op, cudaStream_t stream) {
  constexpr uint32_t kGridMax = 65535;  // of y; what is beyond takes further turns
  const uint32_t blocks = (op.weight.rows + kWeightRows<Batch> * kWarps - 1) / (kWeightRows<Batch> * kWarps);
  // Blocks that read the same weights follow each other.
  const dim3 grid((op.row_count + Batch - 1) / Batch, std::min(blocks, kGridMax));
  with_type(op.weight.type, [&](auto type) { CUDA_LAUNCH((multiply<type, Batch>), grid, 32 * kWarps, 0, stream, op); });
}

}  // namespace

void launch_multiply(const Multiply& op, cudaStream_t stream) {
  if (op.row_count == 1) launch<1>(op, stream);
  else if (op.row_count == 2) launch<2>(op, stream);
  else if (op.row_count <= 4) launch<4>(op, stream);
  else launch<kBatchMax>(op, stream);
}

}  // namespace powerinfer::cuda
