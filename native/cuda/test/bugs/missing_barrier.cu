// A kernel that reads what other threads write to shared memory without waiting for them. With an argument: it waits.
#include <cstdio>
#include <vector>

#include "../../cuda.h"

namespace {

constexpr unsigned kThreads = 64;

template <bool kRepaired>
__global__ void reverse(const unsigned* in, unsigned* out) {
  __shared__ unsigned tile[kThreads];
  tile[threadIdx.x] = in[threadIdx.x];
  if (kRepaired) __syncthreads();
  out[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

}  // namespace

int main(int argument_count, char**) {
  std::vector<unsigned> values(kThreads);
  for (unsigned i = 0; i < kThreads; ++i) values[i] = i;
  unsigned *in = nullptr, *out = nullptr;
  constexpr size_t kBytes = kThreads * sizeof(unsigned);
  cudaMalloc(&in, kBytes);
  cudaMalloc(&out, kBytes);
  cudaMemcpy(in, values.data(), kBytes, cudaMemcpyHostToDevice);
  if (argument_count > 1) CUDA_LAUNCH(reverse<true>, 1, kThreads, 0, nullptr, in, out);
  else CUDA_LAUNCH(reverse<false>, 1, kThreads, 0, nullptr, in, out);
  cudaMemcpy(values.data(), out, kBytes, cudaMemcpyDeviceToHost);
  unsigned wrong = 0;
  for (unsigned i = 0; i < kThreads; ++i) wrong += values[i] != kThreads - 1 - i;
  std::printf("%u of %u values are wrong\n", wrong, kThreads);
  return wrong != 0;
}
