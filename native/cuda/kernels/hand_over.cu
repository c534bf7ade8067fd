// What other devices need of a block, written into pinned host memory; then a number that says it is there.
//
// One thread block: it writes faster than the link to the host takes, and a barrier and a fence then order all of it before the number, without a count of
// finished blocks. A warp writes 128 bytes in a row, the most that one packet of the link carries.
#include "../kernels.h"

namespace powerinfer::cuda {
namespace {

constexpr uint32_t kThreads = 1024;

__global__ void hand_over(HandOver op) {
  for (uint64_t row = 0; op.to_hidden != nullptr && row < op.row_count; ++row) {
    for (uint32_t i = threadIdx.x; i < op.x.width; i += kThreads) op.to_hidden[row * op.x.width + i] = op.x.values[row * op.x.stride + i];
  }
  const uint64_t words = op.active != nullptr ? uint64_t{op.row_count} * op.words : 0;
  for (uint64_t i = threadIdx.x; i < words; i += kThreads) op.to_active[i] = op.active[i];
  __syncthreads();
  if (threadIdx.x != 0) return;
  __threadfence_system();  // after the barrier: of what all threads wrote, and once
  const uint32_t sequence = *op.sequence + 1;
  *op.sequence = sequence;
  *static_cast<volatile uint32_t*>(op.arrived) = sequence;
}

}  // namespace

void launch_hand_over(const HandOver& op, cudaStream_t stream) { CUDA_LAUNCH(hand_over, 1, kThreads, 0, stream, op); }

}  // namespace powerinfer::cuda
