// How far do a neuron's signs agree with those of a vector? score = (Σ m - 2 · distance) / √Σ m²  (native/predictors/sign_bits.cc)
//
// Bits are compared and counted, so the scores are the CPU's, bit for bit.
#include "../definitions.h"
#include "warp.h"

namespace powerinfer::cuda {

// The definition.
void sign_scores_definition(const SignScores& op) {
  for (uint32_t row = 0; row < op.row_count; ++row) {
    const uint8_t* const x = op.bits + uint64_t{row} * (1 + op.plane_count) * op.row_bytes;
    for (uint32_t n = 0; n < op.neuron_count; ++n) {
      uint32_t distance = 0;
      for (uint32_t p = 0; p < op.plane_count; ++p)
        for (uint32_t at = 0; at < op.row_bytes; ++at) {
          const uint32_t differ = op.signs[uint64_t{n} * op.row_bytes + at] ^ x[at];
          distance += static_cast<uint32_t>(__builtin_popcount(differ & x[uint64_t{1 + p} * op.row_bytes + at])) << p;
        }
      const int32_t total = static_cast<int32_t>(op.totals[row]);
      op.scores[row * op.score_stride + n] = static_cast<float>(total - 2 * static_cast<int32_t>(distance)) / op.lengths[row];
    }
  }
}

namespace {

constexpr uint32_t kWarps = 8;  // of a thread block, a neuron each
constexpr uint32_t kRows = 8;   // for which signs are read once

__device__ inline uint32_t distance_of(uint4 signs, uint4 x, uint4 plane) {
  return __popc((signs.x ^ x.x) & plane.x) + __popc((signs.y ^ x.y) & plane.y) +  //
         __popc((signs.z ^ x.z) & plane.z) + __popc((signs.w ^ x.w) & plane.w);
}

// A lane takes 128 places at a time.
__global__ void sign_scores(SignScores op) {
  const uint32_t lane = threadIdx.x % kWarp, n = blockIdx.x * kWarps + threadIdx.x / kWarp;
  if (n >= op.neuron_count) return;
  const uint32_t steps = op.row_bytes / sizeof(uint4);
  const uint4* const signs = reinterpret_cast<const uint4*>(op.signs + uint64_t{n} * op.row_bytes);
  for (uint32_t first = 0; first < op.row_count; first += kRows) {
    const uint4* const bits = reinterpret_cast<const uint4*>(op.bits) + uint64_t{first} * (1 + op.plane_count) * steps;
    uint32_t distances[kRows] = {};
    for (uint32_t step = lane; step < steps; step += kWarp) {
      const uint4 row = signs[step];
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        if (first + r >= op.row_count) break;
        const uint4* const x = bits + uint64_t{r} * (1 + op.plane_count) * steps + step;
        for (uint32_t p = 0; p < op.plane_count; ++p) distances[r] += distance_of(row, x[0], x[uint64_t{1 + p} * steps]) << p;
      }
    }
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      if (first + r >= op.row_count) break;
      const int32_t distance = static_cast<int32_t>(warp_sum(distances[r])), total = static_cast<int32_t>(op.totals[first + r]);
      if (lane == 0) op.scores[(first + r) * op.score_stride + n] = __fdiv_rn(static_cast<float>(total - 2 * distance), op.lengths[first + r]);
    }
  }
}

}  // namespace

void launch_sign_scores(const SignScores& op, cudaStream_t stream) {
  CUDA_LAUNCH(sign_scores, (op.neuron_count + kWarps - 1) / kWarps, kWarps * kWarp, 0, stream, op);
}

}  // namespace powerinfer::cuda
