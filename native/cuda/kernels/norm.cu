// RMS and layer norm of rows. The definitions are rms_norm and layer_norm of native/cpu/kernels/norms.cc.
//
// Where those sum in double, a block sums in f32, but in a tree: a thread adds every 256th value, then threads are added in pairs.
#include "../kernels.h"
#include "block_sum.cuh"

namespace powerinfer::cuda {
namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kThreads = 32 * kWarps;

// A block a row. An RMS norm is a layer norm around zero.
__global__ void norm(Norm op) {
  __shared__ float scratch[kWarps];
  const uint32_t width = op.x.width;
  const uint64_t row = op.rows == nullptr ? blockIdx.x : op.rows[blockIdx.x];
  const float* const x = op.x.values + row * op.x.stride;
  float* const out = op.out.values + uint64_t{blockIdx.x} * op.out.stride;

  float center = 0;
  if (op.kind == POWERINFER_NORM_LAYER) {
    float sum = 0;
    for (uint32_t i = threadIdx.x; i < width; i += kThreads) sum += x[i];
    center = block_sum(sum, scratch) / static_cast<float>(width);
  }
  float squares = 0;
  for (uint32_t i = threadIdx.x; i < width; i += kThreads) squares = fmaf(x[i] - center, x[i] - center, squares);
  const float scale = 1.0f / sqrtf(block_sum(squares, scratch) / static_cast<float>(width) + op.epsilon);
  for (uint32_t i = threadIdx.x; i < width; i += kThreads) {
    const float normed = (x[i] - center) * scale * op.weight[i];
    out[i] = op.bias == nullptr ? normed : normed + op.bias[i];
  }
}

}  // namespace

void launch_norm(const Norm& op, cudaStream_t stream) { CUDA_LAUNCH(norm, op.row_count, kThreads, 0, stream, op); }

}  // namespace powerinfer::cuda
