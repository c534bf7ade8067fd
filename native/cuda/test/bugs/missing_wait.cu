// A host that reads the result of a kernel without waiting for the stream. With an argument: it waits.
#include <cstdio>

#include "../../cuda.h"

namespace {

__global__ void answer(unsigned* out) { *out = 42; }

}  // namespace

int main(int argument_count, char**) {
  cudaStream_t stream = nullptr;
  unsigned *on_device = nullptr, *on_host = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaMalloc(&on_device, sizeof *on_device);
  cudaMallocHost(&on_host, sizeof *on_host);
  CUDA_LAUNCH(answer, 1, 1, 0, stream, on_device);
  cudaMemcpyAsync(on_host, on_device, sizeof *on_host, cudaMemcpyDeviceToHost, stream);
  if (argument_count > 1) cudaStreamSynchronize(stream);
  const unsigned seen = *on_host;
  std::printf("The answer is %u\n", seen);
  cudaStreamSynchronize(stream);
  return seen != 42;
}
