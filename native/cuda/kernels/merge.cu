// What is the residual after an FFN? What was there, what the device's parts add, what another device adds, and a bias.
#include "../definitions.h"

namespace powerinfer::cuda {

void merge_definition(const Merge& op) {
  for (uint32_t r = 0; r < op.row_count; ++r)
    for (uint32_t i = 0; i < op.out.width; ++i) {
      double sum = op.base == nullptr ? 0 : op.base[uint64_t{r} * op.out.stride + i];
      for (uint32_t p = 0; p < op.part_count; ++p) sum += op.parts[(uint64_t{p} * op.part_rows + r) * op.out.stride + i];
      if (op.other != nullptr) sum += op.other[r * op.other_stride + i];
      if (op.bias != nullptr) sum += op.bias[i];
      op.out.values[uint64_t{r} * op.out.stride + i] = static_cast<float>(sum);
    }
}

namespace {

constexpr uint32_t kThreads = 256;

// A thread a value. Parts are added to each other first, so that they may as well have been one.
__global__ void merge(Merge op) {
  const uint32_t i = blockIdx.y * kThreads + threadIdx.x;
  if (i >= op.out.width) return;
  const uint64_t row = blockIdx.x;
  float sum = 0;
  for (uint32_t p = 0; p < op.part_count; ++p) sum += op.parts[(uint64_t{p} * op.part_rows + row) * op.out.stride + i];
  if (op.other != nullptr) sum += op.other[row * op.other_stride + i];
  if (op.base != nullptr) sum += op.base[row * op.out.stride + i];
  if (op.bias != nullptr) sum += op.bias[i];
  op.out.values[row * op.out.stride + i] = sum;
}

}  // namespace

void launch_merge(const Merge& op, cudaStream_t stream) {
  CUDA_LAUNCH(merge, dim3(op.row_count, (op.out.width + kThreads - 1) / kThreads), kThreads, 0, stream, op);
}

}  // namespace powerinfer::cuda
