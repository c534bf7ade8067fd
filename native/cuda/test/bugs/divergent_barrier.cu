// A barrier that only some threads of the block come to. With an argument: all come.
#include <cstdio>

#include "../../cuda.h"

namespace {

template <bool kRepaired>
__global__ void copy_first(unsigned* out) {
  __shared__ unsigned first;
  if (threadIdx.x == 0) first = 7;
  if (kRepaired || threadIdx.x < 40) __syncthreads();
  if (threadIdx.x < 40) out[threadIdx.x] = first;
}

}  // namespace

int main(int argument_count, char**) {
  unsigned *out = nullptr, copied = 0;
  cudaMalloc(&out, 40 * sizeof *out);
  if (argument_count > 1) CUDA_LAUNCH(copy_first<true>, 1, 64, 0, nullptr, out);
  else CUDA_LAUNCH(copy_first<false>, 1, 64, 0, nullptr, out);
  cudaMemcpy(&copied, out + 39, sizeof copied, cudaMemcpyDeviceToHost);
  std::printf("Copied %u\n", copied);
  return copied != 7;
}
