// Which neurons of a share are wanted, which of them fired? Ascending lists, their lengths left on the device.
//
// One thread block, so that no other has to be waited for. Each warp takes one stretch of the candidates and goes through it twice: first it counts,
// then, knowing how many the warps before it found, it writes. Two barriers, however long the list.
#include "../definitions.h"
#include "warp.h"

namespace powerinfer::cuda {

namespace {

// What confirming counts is added where that is done.
__host__ __device__ void add(Tally& to, const Tally& tally) {
  to.candidates += tally.candidates;
  to.firing += tally.firing;
  to.activations += tally.activations;
}

}  // namespace

// The definitions.
void compact_sets_definition(const CompactSets& op) {
  uint32_t count = 0;
  for (uint32_t n = 0; n < op.share_count; ++n) {
    const uint32_t member = op.members != nullptr ? op.members[n] : n;
    uint32_t bits = 0;
    for (uint32_t row = 0; row < op.row_count; ++row) bits |= op.active[uint64_t{row} * op.words + member / 32];
    if ((bits >> member % 32 & 1u) != 0) op.ids[count++] = n;
  }
  *op.count = count;
}

void compact_firing_definition(const CompactFiring& op) {
  const uint32_t candidate_count = op.neurons.ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  uint32_t count = 0;
  Tally tally{candidate_count, 0, 0, 0};
  for (uint32_t k = 0; k < candidate_count; ++k) {
    const uint32_t n = op.neurons.ids != nullptr ? op.neurons.ids[k] : k;
    uint32_t rows = 0;
    for (uint32_t row = 0; row < op.row_count; ++row) rows += op.activation[row * op.activation_stride + n] != 0;
    if (rows > 0) op.ids[count++] = n;
    tally.activations += rows;
  }
  tally.firing = count;
  *op.count = count;
  if (op.tally != nullptr) add(*op.tally, tally);
}

namespace {

constexpr uint32_t kThreads = 1024;
constexpr uint32_t kWarps = kThreads / kWarp;

// ids = name(k) of each k < candidate_count that is wanted(k); ids are not what either of them reads.
template <class Wanted, class Name>
__device__ void compact(uint32_t candidate_count, Wanted&& wanted, Name&& name, uint32_t* ids, uint32_t* count) {
  __shared__ uint32_t counts[kWarps];
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const uint32_t stretch = (candidate_count + kThreads - 1) / kThreads * kWarp;
  const uint32_t begin = warp * stretch, end = min(begin + stretch, candidate_count);
  uint32_t found = 0;
  for (uint32_t first = begin; first < end; first += kWarp) {
    const uint32_t k = first + lane;
    found += __popc(__ballot_sync(kAllLanes, k < end && wanted(k)));
  }
  if (lane == 0) counts[warp] = found;
  __syncthreads();
  uint32_t at = 0;
  for (uint32_t before = 0; before < warp; ++before) at += counts[before];
  for (uint32_t first = begin; first < end; first += kWarp) {
    const uint32_t k = first + lane;
    const bool take = k < end && wanted(k);
    const uint32_t taken = __ballot_sync(kAllLanes, take);
    if (take) ids[at + __popc(taken & ((1u << lane) - 1))] = name(k);
    at += __popc(taken);
  }
  if (threadIdx.x == kThreads - 1) *count = at;
}

__global__ void __launch_bounds__(kThreads) compact_sets(CompactSets op) {
  const auto wanted = [&](uint32_t n) {
    const uint32_t member = op.members != nullptr ? op.members[n] : n;
    uint32_t bits = 0;
    for (uint32_t row = 0; row < op.row_count; ++row) bits |= op.active[uint64_t{row} * op.words + member / 32];
    return (bits >> member % 32 & 1u) != 0;
  };
  compact(op.share_count, wanted, [](uint32_t n) { return n; }, op.ids, op.count);
}

__global__ void __launch_bounds__(kThreads) compact_firing(CompactFiring op) {
  const auto name = [&](uint32_t k) { return op.neurons.ids != nullptr ? op.neurons.ids[k] : k; };
  const auto firing_rows = [&](uint32_t k) {
    uint32_t rows = 0;
    for (uint32_t row = 0; row < op.row_count; ++row) rows += op.activation[row * op.activation_stride + name(k)] != 0;
    return rows;
  };
  const uint32_t candidate_count = op.neurons.ids != nullptr ? *op.neurons.count : op.neurons.count_max;
  compact(candidate_count, [&](uint32_t k) { return firing_rows(k) > 0; }, name, op.ids, op.count);
  if (op.tally == nullptr) return;

  __shared__ uint32_t sums[kWarps];
  uint32_t sum = 0;
  for (uint32_t k = threadIdx.x; k < candidate_count; k += kThreads) sum += firing_rows(k);
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  Tally tally{candidate_count, 0, *op.count, 0};
  for (const uint32_t part : sums) tally.activations += part;
  add(*op.tally, tally);
}

}  // namespace

void launch_compact_sets(const CompactSets& op, cudaStream_t stream) { CUDA_LAUNCH(compact_sets, 1, kThreads, 0, stream, op); }
void launch_compact_firing(const CompactFiring& op, cudaStream_t stream) { CUDA_LAUNCH(compact_firing, 1, kThreads, 0, stream, op); }

}  // namespace powerinfer::cuda
