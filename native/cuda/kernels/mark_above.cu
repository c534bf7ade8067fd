// Which scores exceed their thresholds, as sets of bits? The definition is mark_above_scalar of native/cpu/kernels/mark_above.cc, for every row.
#include "../kernels.h"
#include "warp.h"

namespace powerinfer::cuda {
namespace {

constexpr uint32_t kThreads = 256;

// A thread a score, a warp a word. Rows are along x, of which a grid may have more than 65535.
__global__ void mark_above(MarkAbove op) {
  const uint32_t n = blockIdx.y * kThreads + threadIdx.x;
  const uint64_t row = blockIdx.x;
  const bool above = n < op.count && op.scores[row * op.score_stride + n] > op.thresholds[n];
  const uint32_t word = __ballot_sync(kAllLanes, above);
  if (n % kWarp == 0 && n / kWarp < op.words) op.active[row * op.words + n / kWarp] = word;
}

}  // namespace

void launch_mark_above(const MarkAbove& op, cudaStream_t stream) {
  const uint32_t block_words = kThreads / kWarp;
  CUDA_LAUNCH(mark_above, dim3(op.row_count, (op.words + block_words - 1) / block_words), kThreads, 0, stream, op);
}

}  // namespace powerinfer::cuda
