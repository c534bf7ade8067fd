// What do neurons do with their sums? In place, for FFNs that compute every neuron.
#include "../../cpu/activation.h"

#include "../definitions.h"
#include "activation.h"

namespace powerinfer::cuda {

void activate_definition(const Activate& op) {
  for (uint32_t r = 0; r < op.row_count; ++r)
    for (uint32_t i = 0; i < op.width; ++i) {
      float& x = op.x[r * op.stride + i];
      with_activation(op.f, [&](auto f) { x = f(x); });
      if (op.up == nullptr) continue;
      with_activation(op.g, [&](auto g) { x *= g(op.up[r * op.stride + i]); });
    }
}

namespace {

constexpr uint32_t kThreads = 256;

// A thread a value.
__global__ void activate(Activate op) {
  const uint32_t i = blockIdx.y * kThreads + threadIdx.x;
  if (i >= op.width) return;
  const uint64_t at = blockIdx.x * op.stride + i;
  const float x = activated(op.f, op.x[at]);
  op.x[at] = op.up == nullptr ? x : x * activated(op.g, op.up[at]);
}

}  // namespace

void launch_activate(const Activate& op, cudaStream_t stream) {
  CUDA_LAUNCH(activate, dim3(op.row_count, (op.width + kThreads - 1) / kThreads), kThreads, 0, stream, op);
}

}  // namespace powerinfer::cuda
