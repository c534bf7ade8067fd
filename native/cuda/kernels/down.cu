// What do the listed neurons add to the hidden vector? Σ activation * down, the second half of native/cpu/ffn_sparse.cc, in kDownParts partial sums.
//
// A thread block takes 256 or 512 columns and one part of the share's neurons, each of its warps a stretch of that part. Which neurons are summed up
// together follows from their numbers and not from their places in the list, so that a row's sums do not depend on what other rows of the batch list.
#include <algorithm>

#include "../definitions.h"
#include "../octet.cuh"
#include "rows_at_once.h"
#include "warp.h"

namespace powerinfer::cuda {
namespace {

constexpr uint32_t kWarps = 16;  // of a thread block

// Of a lane, octets of columns: of few bits a weight two, because what is done for a neuron is then done for twice as many. Sums of many rows take registers.
template <uint32_t kType, uint32_t kRows>
constexpr uint32_t kOctets = Format<kType>::kPlain || kRows > 2 ? 1 : 2;

// Neurons whose weights are under way at once: as many as there are registers for, beside the sums.
template <class Columns, uint32_t kRows>
constexpr uint32_t kAhead = std::clamp<uint32_t>((kRows == 1 ? 32 : kRows < 8 ? 24 : 14) / (sizeof(Columns) / 4), 1, 8);

__host__ __device__ inline uint32_t stretch_of(uint32_t count_max) { return (count_max + kDownParts * kWarps - 1) / (kDownParts * kWarps); }

}  // namespace

// The definition; `down` is the decoded matrix, f32[count_max, width], sums are in double.
void down_definition(const Down& op, const float* down) {
  const uint32_t width = op.parts.width, count = op.neurons.ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  for (uint32_t part = 0; part < kDownParts; ++part)
    for (uint32_t row = 0; row < op.row_count; ++row)
      for (uint32_t c = 0; c < width; ++c) {
        double sum = 0;
        for (uint32_t k = 0; k < count; ++k) {
          const uint32_t n = op.neurons.ids != nullptr ? op.neurons.ids[k] : k;
          const float activation = op.activation[row * op.activation_stride + n];
          const bool in_part = n / stretch_of(op.neurons.count_max) / kWarps == part;
          if (in_part && activation != 0) sum += double{activation} * down[uint64_t{n} * width + c];
        }
        op.parts.values[(uint64_t{part} * op.part_rows + row) * op.parts.stride + c] = static_cast<float>(sum);
      }
}

namespace {

// The first k < count with ids[k] >= n, or count: found by a warp, which looks at 32 places at once.
__device__ uint32_t place_of(const uint32_t* ids, uint32_t count, uint32_t n) {
  const uint32_t lane = threadIdx.x % kWarp;
  uint32_t begin = 0, length = count;  // begin <= k <= begin + length
  while (length > 0) {
    const uint32_t step = (length + kWarp - 1) / kWarp, end = begin + length;
    const uint32_t last = begin + lane * step + step - 1;  // of the lane's section
    begin += __popc(__ballot_sync(kAllLanes, last < end && ids[last] < n)) * step;
    length = min(step - 1, end - begin);
  }
  return begin;
}

// Where bit k of those that are set in the mask is; at the end where they are fewer.
__device__ uint32_t place_of_bit(uint32_t mask, uint32_t k) {
  uint32_t place = 0;
#pragma unroll
  for (uint32_t length = kWarp / 2; length > 0; length /= 2) {
    const uint32_t below = __popc(mask >> place & ((1u << length) - 1));
    if (k >= below) k -= below, place += length;
  }
  return place;
}

// A lane's columns of a neuron, of either form of `down`: loaded first, and later decoded to weights less a factor that all of them share.
template <uint32_t kType, uint32_t kOctets>
struct ByNeuron {
  PackedCodes<kType, kOctets> codes;
  PackedScale scale;

  __device__ static ByNeuron load(const DownMatrix& down, uint32_t n, uint32_t column_octet) {
    return {cuda::load<kType, kOctets>(codes_at<kType>(down.rows, n, column_octet)), cuda::load<kType>(scales_at<kType>(down.rows, n, column_octet))};
  }
  __device__ float decode(float (&weights)[8 * kOctets]) const {
    using F = Format<kType>;
    const Scale of = cuda::decode<kType>(scale);
    if constexpr (F::kHasOffset) weights_of(codes, [&](uint32_t) { return of; }, weights);
    else cuda::decode(codes, F::kZero, weights);
    return F::kPlain || F::kHasOffset ? 1 : of.scale;
  }
};

template <uint32_t kType, uint32_t kOctets>
struct ByColumn {
  PackedCodes<kType, kOctets> codes;
  PackedColumnScales<kType, kOctets> scales;

  __device__ static ByColumn load(const DownMatrix& down, uint32_t n, uint32_t column_octet) {
    return {cuda::load<kType, kOctets>(codes_at<kType>(down.rows, n, column_octet)), load_column_scales<kType, kOctets>(down, n, column_octet)};
  }
  __device__ float decode(float (&weights)[8 * kOctets]) const {
    weights_of(codes, scales, weights);
    return 1;
  }
};

// sums += activation * down for the listed neurons begin <= n < end, kColumns columns a lane, rows first .. first + kRows.
template <class Columns, uint32_t kRows, uint32_t kColumns>
__device__ void add_neurons(const Down& op, uint32_t begin, uint32_t end, uint32_t first, float (&sums)[kRows][kColumns]) {
  const uint32_t* const ids = op.neurons.ids;
  const uint32_t lane = threadIdx.x % kWarp, count = ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  constexpr uint32_t kAheadOf = kAhead<Columns, kRows>;
  const uint32_t column_octet = min((blockIdx.x * kWarp + lane) * (kColumns / 8), octets_of(op.down.rows.width) - kColumns / 8);
  bool more = true;
  for (uint32_t next = ids != nullptr ? place_of(ids, count, begin) : begin; more; next += kWarp) {
    // A neuron a lane, those that fire in front; then one after the other by all lanes.
    const uint32_t k = next + lane;
    uint32_t n = k >= count ? end : ids != nullptr ? ids[k] : k;
    more = __ballot_sync(kAllLanes, n < end) == kAllLanes;
    float activations[kRows];
    bool fires = false;
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      activations[r] = n < end && first + r < op.row_count ? op.activation[(first + r) * op.activation_stride + n] : 0;
      fires = fires || activations[r] != 0;
    }
    const uint32_t firing = __ballot_sync(kAllLanes, fires), firing_count = __popc(firing);
    if ((firing & (firing + 1)) != 0) {
      const int from = static_cast<int>(place_of_bit(firing, lane));
      n = __shfl_sync(kAllLanes, n, from);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) activations[r] = __shfl_sync(kAllLanes, activations[r], from);
    }
    for (uint32_t at = 0; at < firing_count; at += kAheadOf) {
      Columns columns[kAheadOf];
#pragma unroll
      for (uint32_t j = 0; j < kAheadOf; ++j)
        if (at + j < firing_count) columns[j] = Columns::load(op.down, __shfl_sync(kAllLanes, n, static_cast<int>(at + j)), column_octet);
#pragma unroll
      for (uint32_t j = 0; j < kAheadOf; ++j) {
        if (at + j >= firing_count) break;
        float weights[kColumns];
        const float factor = columns[j].decode(weights);
#pragma unroll
        for (uint32_t r = 0; r < kRows; ++r) {
          const float activation = __shfl_sync(kAllLanes, activations[r], static_cast<int>(at + j));
          if (activation == 0) continue;  // a weight that the row does not want may be infinite
#pragma unroll
          for (uint32_t i = 0; i < kColumns; ++i) sums[r][i] = fmaf(activation * factor, weights[i], sums[r][i]);
        }
      }
    }
  }
}

template <uint32_t kType, uint32_t kRows>
__global__ void __launch_bounds__(kWarps * kWarp) down(Down op) {
  constexpr uint32_t kLane = 8 * kOctets<kType, kRows>, kColumns = kWarp * kLane;
  alignas(16) __shared__ float tile[kWarps][kColumns];
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, part = blockIdx.y;
  const uint32_t stretch = stretch_of(op.neurons.count_max);
  const uint32_t begin = (part * kWarps + warp) * stretch, end = min(begin + stretch, op.neurons.count_max);
  for (uint32_t first = 0; first < op.row_count; first += kRows) {
    float sums[kRows][kLane] = {};
    if (begin < end) {
      if constexpr (!Format<kType>::kPlain) {
        if (op.down.columns) add_neurons<ByColumn<kType, kLane / 8>>(op, begin, end, first, sums);
        else add_neurons<ByNeuron<kType, kLane / 8>>(op, begin, end, first, sums);
      } else {
        add_neurons<ByNeuron<kType, kLane / 8>>(op, begin, end, first, sums);
      }
    }
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      if (first + r >= op.row_count) break;
      float4* const own = reinterpret_cast<float4*>(&tile[warp][lane * kLane]);
#pragma unroll
      for (uint32_t i = 0; i < kLane / 4; ++i) own[i] = {sums[r][4 * i], sums[r][4 * i + 1], sums[r][4 * i + 2], sums[r][4 * i + 3]};
      __syncthreads();
      const uint32_t column = blockIdx.x * kColumns + threadIdx.x;
      if (threadIdx.x < kColumns && column < op.parts.width) {
        float sum = 0;
        for (uint32_t w = 0; w < kWarps; ++w) sum += tile[w][threadIdx.x];
        op.parts.values[(uint64_t{part} * op.part_rows + first + r) * op.parts.stride + column] = sum;
      }
      __syncthreads();
    }
  }
}

static_assert(kWarps * kWarp >= kWarp * 16, "a thread a column when the warps are added");

}  // namespace

void launch_down(const Down& op, cudaStream_t stream) {
  with_type(op.down.rows.type, [&](auto type) {
    with_rows_at_once(op.row_count, [&](auto rows) {
      constexpr uint32_t kColumns = kWarp * 8 * kOctets<type, rows>;
      const dim3 grid((op.parts.width + kColumns - 1) / kColumns, kDownParts);
      CUDA_LAUNCH((down<type, rows>), grid, kWarps * kWarp, 0, stream, op);
    });
  });
}

}  // namespace powerinfer::cuda
