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

// Of one type and of one x.
struct Products {
  Multiply of[kProductsMax];
  uint32_t count;
};

// kWeightRows weight rows of a product.
__host__ __device__ inline uint32_t tiles_of(const Multiply& product) { return (product.weight.rows + kWeightRows - 1) / kWeightRows; }

template <uint32_t Batch>
constexpr uint32_t kWarps = Batch <= 2 ? kShares : 8;  // of a block
template <uint32_t Batch>
constexpr uint32_t kTiles = Batch <= 2 ? 1 : 8;  // of kWeightRows weight rows, that a block takes at once
template <uint32_t Type, uint32_t Batch>
constexpr uint32_t kBlocksMin = Batch <= 2 ? 4 : Format<Type>::kCodeBytes == 16 ? 1 : 2;  // of a multiprocessor: what registers there are for

// Block (b, y): batch rows from Batch * b on. Rows past the last, of either side, repeat it and are dropped.
template <uint32_t Type, uint32_t Batch>
__global__ void __launch_bounds__(kWarp * kWarps<Batch>, kBlocksMin<Type, Batch>) multiply(const __grid_constant__ Products products, uint32_t tiles) {
  constexpr uint32_t kCount = kWeightRows * Batch;
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const DeviceRows& rows_of_x = products.of[0].x;
  const RowChunk x{rows_of_x.values + uint64_t{blockIdx.x} * Batch * rows_of_x.stride, rows_of_x.stride, min(Batch, products.of[0].row_count - blockIdx.x * Batch)};

  for (uint32_t first = blockIdx.y * kTiles<Batch>; first < tiles; first += gridDim.y * kTiles<Batch>) {
    uint32_t tile = kTiles<Batch> == 1 ? first : first + warp, of = 0;
    while (of + 1 < products.count && tile >= tiles_of(products.of[of])) tile -= tiles_of(products.of[of++]);
    const Multiply& op = products.of[of];
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
void launch(const Products& products, cudaStream_t stream) {
  constexpr uint32_t kGridMax = 65535;  // of y; what is beyond takes further turns
  uint32_t tiles = 0;
  for (uint32_t of = 0; of < products.count; ++of) tiles += tiles_of(products.of[of]);
  const uint32_t blocks = (tiles + kTiles<Batch> - 1) / kTiles<Batch>;
  // Blocks that read the same weights follow each other.
  const dim3 grid((products.of[0].row_count + Batch - 1) / Batch, std::min(blocks, kGridMax));
  with_type(products.of[0].weight.type, [&](auto type) { CUDA_LAUNCH((multiply<type, Batch>), grid, kWarp * kWarps<Batch>, 0, stream, products, tiles); });
}

void launch_of_one_type(const Products& products, cudaStream_t stream) {
  const uint32_t row_count = products.of[0].row_count;
  if (row_count == 1) launch<1>(products, stream);
  else if (row_count == 2) launch<2>(products, stream);
  else if (row_count <= 4) launch<4>(products, stream);
  else launch<kBatchMax>(products, stream);
}

}  // namespace

void launch_multiply(const Multiply& op, cudaStream_t stream) { launch_products({op}, stream); }

void launch_products(std::initializer_list<Multiply> ops, cudaStream_t stream) {
  Products products{};
  for (const Multiply& op : ops) {
    if (products.count != 0 && op.weight.type != products.of[0].weight.type) {
      launch_of_one_type(products, stream);
      products.count = 0;
    }
    products.of[products.count++] = op;
  }
  launch_of_one_type(products, stream);
}

}  // namespace powerinfer::cuda
