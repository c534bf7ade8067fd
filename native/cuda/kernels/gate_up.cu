// What do the listed neurons of a share make of x? activation = f(gate · x) * g(up · x + bias): the first half of native/cpu/ffn_sparse.cc.
//
// A block takes four neurons, for up to eight rows at once, each of its four warps a share of the width (dot_rows.h): few neurons are active, and all of
// a row's weights should be under way together. What is made of the sums every warp finds out for itself.
#include <algorithm>
#include <cmath>

#include "../../cpu/activation.h"
#include "../definitions.h"
#include "activation.h"
#include "dot_rows.h"
#include "rows_at_once.h"

namespace powerinfer::cuda {
namespace {

// Zero where its magnitude is at or below the neuron's threshold; a NaN stays.
__host__ __device__ inline float kept(float activation, const float* threshold, uint32_t n) {
  return threshold != nullptr && fabsf(activation) <= threshold[n] ? 0 : activation;
}

float host_activated(uint32_t kind, float x) {
  float y = x;
  with_activation(kind, [&](auto f) { y = f(x); });
  return y;
}

float dot(const float* weights, const float* x, uint32_t width) {
  double sum = 0;
  for (uint32_t i = 0; i < width; ++i) sum += double{weights[i]} * x[i];
  return static_cast<float>(sum);
}

__host__ __device__ inline bool wants(const GateUp& op, uint32_t row, uint32_t n) {
  const uint32_t member = op.members != nullptr ? op.members[n] : n;
  return op.active == nullptr || (op.active[uint64_t{row} * op.words + member / 32] >> member % 32 & 1u) != 0;
}

}  // namespace

// The definition; `gate` and `up` are the decoded matrices, sums are in double.
void gate_up_definition(const GateUp& op, const float* gate, const float* up) {
  const uint32_t width = op.x.width, count = op.neurons.ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  for (uint32_t k = 0; k < count; ++k) {
    bool reads_up = false;
    for (uint32_t row = 0; row < op.row_count; ++row) {
      const uint32_t n = op.neurons.ids != nullptr ? op.neurons.ids[k] : k;
      const float* const x = op.x.values + uint64_t{row} * op.x.stride;
      float& activation = op.activation[row * op.activation_stride + n];
      activation = 0;
      if (!wants(op, row, n)) continue;
      float gated = 1;
      if (gate != nullptr) {
        gated = host_activated(op.gate_activation, dot(gate + uint64_t{n} * width, x, width));
        if (op.confirm) gated = kept(gated, op.gate_threshold, n);
        reads_up = reads_up || !op.confirm;
        if (gated == 0) continue;  // whatever `up` is
      }
      reads_up = true;
      const float bias = op.up_bias != nullptr ? op.up_bias[n] : 0;
      activation = gated * host_activated(op.up_activation, dot(up + uint64_t{n} * width, x, width) + bias);
      if (op.confirm) activation = kept(activation, op.activation_threshold, n);
    }
    if (op.tally != nullptr) op.tally->confirmed += reads_up;
  }
}

namespace {

constexpr uint32_t kNeurons = kWeightRows;  // of a block
constexpr uint32_t kBlocksMax = 2048;       // more than any device runs at once: from there on a block takes further neurons

// A lane has the product of its number: lane j * kRows + r that of the block's neuron j and row r of the chunk. Lanes beyond have none.
template <uint32_t kRows>
constexpr uint32_t kProducts = kNeurons * kRows;

// The block's neurons, of which a lane has n, as far as `fires` in one of their lanes; in place of others one that does: its weights are at hand, what is
// made of them is dropped. Returns how many do.
template <uint32_t kRows>
__device__ uint32_t read_neurons(uint32_t n, bool fires, RowNumbers& read) {
  const uint32_t firing = __ballot_sync(kAllLanes, fires);
  const uint32_t any = firing == 0 ? 0 : (__ffs(static_cast<int>(firing)) - 1) / kRows * kRows;
  uint32_t count = 0;
#pragma unroll
  for (uint32_t j = 0; j < kNeurons; ++j) {
    const bool does = (firing >> j * kRows & ((1u << kRows) - 1)) != 0;
    read.of[j] = __shfl_sync(kAllLanes, n, static_cast<int>(does ? j * kRows : any));
    count += does;
  }
  return count;
}

// The warp's share of the block's products.
template <uint32_t kRows>
__device__ float share_of(const DeviceMatrix& matrix, const RowNumbers& n, const RowChunk& x) {
  const uint32_t share = threadIdx.x / kWarp;
  switch (matrix.type) {
    case F32: return share_products<F32, kRows>(matrix, n, x, share);
    case F16: return share_products<F16, kRows>(matrix, n, x, share);
    case BF16: return share_products<BF16, kRows>(matrix, n, x, share);
    case Q8_0: return share_products<Q8_0, kRows>(matrix, n, x, share);
    case Q4_0: return share_products<Q4_0, kRows>(matrix, n, x, share);
    case Q4_K: return share_products<Q4_K, kRows>(matrix, n, x, share);
    default: return share_products<Q6_K, kRows>(matrix, n, x, share);
  }
}

// The lane's activation, which is zero if `activation` is before.
template <uint32_t kRows>
__device__ float activate(const GateUp& op, uint32_t n, const RowChunk& x, float activation, ShareSums<kRows>& shares) {
  bool fires = activation != 0;
  for (bool is_up = op.gate.codes == nullptr;; is_up = true) {
    RowNumbers read;
    const uint32_t confirmed = read_neurons<kRows>(n, fires, read);
    if (confirmed == 0) return activation;
    if (is_up && op.tally != nullptr && threadIdx.x == 0) atomicAdd(&op.tally->confirmed, static_cast<unsigned long long>(confirmed));
    shares.put(share_of<kRows>(is_up ? op.up : op.gate, read, x));
    if (activation != 0) {  // else it stays zero, whatever the weights are
      const float dot = shares.total(threadIdx.x % kWarp);
      if (!is_up) activation = activated(op.gate_activation, dot);
      else activation *= activated(op.up_activation, dot + (op.up_bias != nullptr ? op.up_bias[n] : 0));
      if (op.confirm) activation = kept(activation, is_up ? op.activation_threshold : op.gate_threshold, n);
    }
    if (is_up) return activation;
    if (op.confirm) fires = activation != 0;
  }
}

template <uint32_t kRows>
__global__ void __launch_bounds__(kShares * kWarp, kRows <= 2 ? 4 : 3) gate_up(GateUp op) {
  __shared__ ShareSums<kRows> shares;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t count = op.neurons.ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  for (uint32_t first = blockIdx.x * kNeurons; first < count; first += gridDim.x * kNeurons) {
    const uint32_t k = first + lane / kRows;
    const uint32_t n = op.neurons.ids != nullptr ? op.neurons.ids[min(k, count - 1)] : min(k, count - 1);
    for (uint32_t row = 0; row < op.row_count; row += kRows) {
      const RowChunk x{op.x.values + uint64_t{row} * op.x.stride, op.x.stride, min(kRows, op.row_count - row)};
      const bool exists = lane < kProducts<kRows> && k < count && lane % kRows < x.count;
      const float activation = activate<kRows>(op, n, x, exists && wants(op, row + lane % kRows, n) ? 1 : 0, shares);
      if (threadIdx.x < kWarp && exists) op.activation[(row + lane % kRows) * op.activation_stride + n] = activation;
    }
  }
}

}  // namespace

void launch_gate_up(const GateUp& op, cudaStream_t stream) {
  with_rows_at_once(op.row_count, [&](auto rows) {
    const uint32_t blocks = std::min((op.neurons.count_max + kNeurons - 1) / kNeurons, kBlocksMax);
    CUDA_LAUNCH(gate_up<rows>, blocks, kShares * kWarp, 0, stream, op);
  });
}

}  // namespace powerinfer::cuda
