// A shuffle among all lanes of a warp that half of them never come to. With an argument: the mask names who comes.
#include <cstdio>

#include "../../cuda.h"

namespace {

template <bool kRepaired>
__global__ void sum_lower_half(unsigned* out) {
  unsigned sum = threadIdx.x;
  if (threadIdx.x < 16) {
    for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_xor_sync(kRepaired ? 0xffffu : 0xffffffffu, sum, offset);
    if (threadIdx.x == 0) *out = sum;
  }
  __syncthreads();
}

}  // namespace

int main(int argument_count, char**) {
  unsigned *out = nullptr, sum = 0;
  cudaMalloc(&out, sizeof *out);
  if (argument_count > 1) CUDA_LAUNCH(sum_lower_half<true>, 1, 32, 0, nullptr, out);
  else CUDA_LAUNCH(sum_lower_half<false>, 1, 32, 0, nullptr, out);
  cudaMemcpy(&sum, out, sizeof sum, cudaMemcpyDeviceToHost);
  std::printf("The sum is %u\n", sum);
  return sum != 120;
}
