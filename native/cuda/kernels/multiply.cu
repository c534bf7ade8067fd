// Matrix times the rows of a batch, few or many.
//
// Of one batch row or two, the weights' way from memory is what takes the time: a block of four warps takes four weight rows, each warp a share of the
// width (dot_rows.h). Of more, arithmetic is: a warp takes four weight rows along the whole width, so that each weight that was decoded is used up to
// eight times and each value that was read four times, from registers, and the warps of a block read the same x. Larger batches are eights beside each
// other, which find the weights in the L2 cache. An output is summed in the same order in all of them; tiles in shared memory, the usual way for large
// batches, would be a second order, and tokens would depend on how many rows are computed together.
#include <algorithm>

#include "../definitions.h"
#include "dot_rows.h"

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

constexpr uint32_t kBatchMax = 8;
template <uint32_t Batch>
constexpr uint32_t kWarps = Batch <= 2 ? kShares : 8;  // of a block
template <uint32_t Batch>
constexpr uint32_t kTiles = Batch <= 2 ? 1 : 8;  // of kWeightRows weight rows, that a block takes at once
template <uint32_t Type, uint32_t Batch>
constexpr uint32_t kBlocksMin = Batch <= 2 ? 4 : Format<Type>::kCodeBytes == 16 ? 1 : 2;  // of a multiprocessor: what registers there are for

// Block (b, y): batch rows from Batch * b on. Rows past the last, of either side, repeat it and are dropped.
template <uint32_t Type, uint32_t Batch>
__global__ void __launch_bounds__(kWarp * kWarps<Batch>, kBlocksMin<Type, Batch>) multiply(Multiply op) {
  constexpr uint32_t kCount = kWeightRows * Batch;
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const uint32_t tiles = (op.weight.rows + kWeightRows - 1) / kWeightRows;
  const RowChunk x{op.x.values + uint64_t{blockIdx.x} * Batch * op.x.stride, op.x.stride, min(Batch, op.row_count - blockIdx.x * Batch)};

  for (uint32_t first = blockIdx.y * kTiles<Batch>; first < tiles; first += gridDim.y * kTiles<Batch>) {
    const uint32_t tile = kTiles<Batch> == 1 ? first : first + warp;
    RowNumbers rows;
#pragma unroll
    for (uint32_t j = 0; j < kWeightRows; ++j) rows.of[j] = min(tile * kWeightRows + j, op.weight.rows - 1);
    float sum = 0;
    uint32_t product;  // whose sum that is
    if constexpr (kTiles<Batch> == 1) {
      __shared__ ShareSums<Batch> shares;
      shares.put(share_products<Type, Batch>(op.weight, rows, x, warp));
      product = threadIdx.x;
      if (product < kCount) sum = shares.total(product);
    } else {
#pragma unroll 1
      for (uint32_t share = 0; share < kShares; ++share) {
        const float of_share = share_products<Type, Batch>(op.weight, rows, x, share);
        sum = share == 0 ? of_share : sum + of_share;
      }
      product = lane % (kWarp / kCount) == 0 ? lane * kCount / kWarp : kCount;
    }
    const uint32_t n = tile * kWeightRows + product / Batch, row = product % Batch;
    if (product >= kCount || n >= op.weight.rows || row >= x.count) continue;
    float& out = op.out[(uint64_t{blockIdx.x} * Batch + row) * op.out_stride + n];
    if (op.bias != nullptr) sum += op.bias[n];
    out = op.add ? out + sum : sum;
  }
}

template <uint32_t Batch>
void launch(const Multiply& op, cudaStream_t stream) {
  constexpr uint32_t kGridMax = 65535;  // of y; what is beyond takes further turns
  const uint32_t blocks = (op.weight.rows + kWeightRows * kTiles<Batch> - 1) / (kWeightRows * kTiles<Batch>);
  // Blocks that read the same weights follow each other.
  const dim3 grid((op.row_count + Batch - 1) / Batch, std::min(blocks, kGridMax));
  with_type(op.weight.type, [&](auto type) { CUDA_LAUNCH((multiply<type, Batch>), grid, kWarp * kWarps<Batch>, 0, stream, op); });
}

}  // namespace

void launch_multiply(const Multiply& op, cudaStream_t stream) {
  if (op.row_count == 1) launch<1>(op, stream);
  else if (op.row_count == 2) launch<2>(op, stream);
  else if (op.row_count <= 4) launch<4>(op, stream);
  else launch<kBatchMax>(op, stream);
}

}  // namespace powerinfer::cuda
