// What do the listed neurons of a share make of x? activation = f(gate · x) * g(up · x + bias): the first half of native/cpu/ffn_sparse.cc.
//
// A warp takes one or a few neurons, for up to eight rows at once: neighbouring lanes read neighbouring weights, each of them once.
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

constexpr uint32_t kWarps = 4;         // of a thread block
constexpr uint32_t kBlocksMax = 2048;  // more than any device runs at once: from there on a warp takes further neurons

// Where activation is zero in all lanes, n becomes another neuron's: its weights are at hand, what is made of them is dropped. Returns how many are their own.
template <uint32_t kNeurons>
__device__ uint32_t stand_in(const float (&activations)[kNeurons], uint32_t (&n)[kNeurons]) {
  bool fires[kNeurons];
  uint32_t firing = n[0], count = 0;
#pragma unroll
  for (uint32_t j = 0; j < kNeurons; ++j) {
    fires[j] = __ballot_sync(kAllLanes, activations[j] != 0) != 0;
    if (fires[j]) firing = n[j];
    count += fires[j];
  }
#pragma unroll
  for (uint32_t j = 0; j < kNeurons; ++j) n[j] = fires[j] ? n[j] : firing;
  return count;
}

// In lane r: of each neuron n[j] the activation for row r of the chunk, which is zero if `activations` is before.
template <uint32_t kRows, uint32_t kNeurons>
__device__ void activate(const GateUp& op, const uint32_t (&n)[kNeurons], const RowChunk& x, float (&activations)[kNeurons]) {
  uint32_t read[kNeurons];  // whose weights
#pragma unroll
  for (uint32_t j = 0; j < kNeurons; ++j) read[j] = n[j];
  uint32_t confirmed = stand_in(activations, read);
  if (confirmed == 0) return;
  float dots[kNeurons] = {};
  if (op.gate.codes != nullptr) {
    dot_rows<kRows>(op.gate, read, x, dots);
#pragma unroll
    for (uint32_t j = 0; j < kNeurons; ++j) {
      if (activations[j] == 0) continue;
      activations[j] = activated(op.gate_activation, dots[j]);
      if (op.confirm) activations[j] = kept(activations[j], op.gate_threshold, n[j]);
    }
    if (op.confirm) confirmed = stand_in(activations, read);
    if (confirmed == 0) return;
  }
  if (op.tally != nullptr && threadIdx.x % kWarp == 0) atomicAdd(&op.tally->confirmed, static_cast<unsigned long long>(confirmed));
  dot_rows<kRows>(op.up, read, x, dots);
#pragma unroll
  for (uint32_t j = 0; j < kNeurons; ++j) {
    if (activations[j] == 0) continue;  // whatever `up` is
    activations[j] *= activated(op.up_activation, dots[j] + (op.up_bias != nullptr ? op.up_bias[n[j]] : 0));
    if (op.confirm) activations[j] = kept(activations[j], op.activation_threshold, n[j]);
  }
}

template <uint32_t kRows>
__global__ void __launch_bounds__(kWarps * kWarp) gate_up(GateUp op) {
  constexpr uint32_t kNeurons = kWeightRowsOf<kRows>;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t count = op.neurons.ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  for (uint32_t first = (blockIdx.x * kWarps + threadIdx.x / kWarp) * kNeurons; first < count; first += gridDim.x * kWarps * kNeurons) {
    uint32_t n[kNeurons];
#pragma unroll
    for (uint32_t j = 0; j < kNeurons; ++j) {
      const uint32_t k = min(first + j, count - 1);
      n[j] = op.neurons.ids != nullptr ? op.neurons.ids[k] : k;
    }
    for (uint32_t row = 0; row < op.row_count; row += kRows) {
      const RowChunk x{op.x.values + uint64_t{row} * op.x.stride, op.x.stride, min(kRows, op.row_count - row)};
      float activations[kNeurons];
#pragma unroll
      for (uint32_t j = 0; j < kNeurons; ++j) activations[j] = first + j < count && lane < x.count && wants(op, row + lane, n[j]) ? 1 : 0;
      activate<kRows>(op, n, x, activations);
#pragma unroll
      for (uint32_t j = 0; j < kNeurons; ++j)
        if (first + j < count && lane < x.count) op.activation[(row + lane) * op.activation_stride + n[j]] = activations[j];
    }
  }
}

}  // namespace

void launch_gate_up(const GateUp& op, cudaStream_t stream) {
  with_rows_at_once(op.row_count, [&](auto rows) {
    constexpr uint32_t kBlockNeurons = kWarps * kWeightRowsOf<rows>;
    const uint32_t blocks = std::min((op.neurons.count_max + kBlockNeurons - 1) / kBlockNeurons, kBlocksMax);
    CUDA_LAUNCH(gate_up<rows>, blocks, kWarps * kWarp, 0, stream, op);
  });
}

}  // namespace powerinfer::cuda
