// Goal: the simulator hands out memory, and refuses to, as CUDA does; and what nobody has written does not look like something.
// Method: calls that must succeed and calls that must not, with CUDA's own codes and words.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../test/test.h"
#include "../cuda.h"
#include "device_array.h"

namespace powerinfer_test {
namespace {

__global__ void read_uninitialized(unsigned* out) {
  CUDA_DYNAMIC_SHARED(unsigned, dynamic);
  __shared__ unsigned fixed[32];
  out[blockIdx.x * 64 + threadIdx.x] = dynamic[threadIdx.x];
  out[blockIdx.x * 64 + 32 + threadIdx.x] = fixed[threadIdx.x];
  __syncthreads();
  dynamic[threadIdx.x] = fixed[threadIdx.x] = 1;
}

TEST("shared and device memory that nobody has written has all bits set, in every block") {
  DeviceArray<unsigned> out(std::vector<unsigned>(16 * 64));
  CUDA_LAUNCH(read_uninitialized, 16, 32, 32 * sizeof(unsigned), nullptr, out.get());
  for (const unsigned value : out.read()) CHECK_EQUAL(value, 0xffffffffu);
  float* memory = nullptr;
  CHECK_EQUAL(cudaMalloc(&memory, sizeof(float)), cudaSuccess);
  float value = 0;
  CHECK_EQUAL(cudaMemcpy(&value, memory, sizeof value, cudaMemcpyDeviceToHost), cudaSuccess);
  CHECK(std::isnan(value));
  cudaFree(memory);
}

TEST("a device runs out of memory, says so in CUDA's words, and has it again after cudaFree") {
  size_t free_bytes = 0, total_bytes = 0, left_bytes = 0;
  CHECK_EQUAL(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  CHECK(free_bytes > 0 && free_bytes <= total_bytes);
  void *memory = nullptr, *more = nullptr;
  CHECK_EQUAL(cudaMalloc(&memory, total_bytes + 1), cudaErrorMemoryAllocation);
  CHECK_EQUAL(std::string(cudaGetErrorString(cudaGetLastError())), std::string("out of memory"));
  CHECK_EQUAL(cudaGetLastError(), cudaSuccess);
  CHECK_EQUAL(cudaMalloc(&memory, 1 << 20), cudaSuccess);
  CHECK_EQUAL(cudaMemGetInfo(&left_bytes, &total_bytes), cudaSuccess);
  CHECK_EQUAL(left_bytes, free_bytes - (1 << 20));
  CHECK_EQUAL(cudaMalloc(&more, free_bytes), cudaErrorMemoryAllocation);
  CHECK_EQUAL(cudaFree(memory), cudaSuccess);
  CHECK_EQUAL(cudaMemGetInfo(&left_bytes, &total_bytes), cudaSuccess);
  CHECK_EQUAL(left_bytes, free_bytes);
  CHECK_EQUAL(cudaFree(memory), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaPeekAtLastError(), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST("a copy names its direction and stays in its allocation") {
  unsigned char host[64] = {};
  unsigned char* device = nullptr;
  CHECK_EQUAL(cudaMalloc(&device, 64), cudaSuccess);
  CHECK_EQUAL(cudaMemcpy(device, host, 64, cudaMemcpyHostToDevice), cudaSuccess);
  CHECK_EQUAL(cudaMemcpy(device, host, 65, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaMemcpy(device + 1, host, 64, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaMemcpy(host, device, 64, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaMemcpy(host, device, 64, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaMemset(host, 0, 64), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaMemset(device, 0, 65), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFree(device), cudaSuccess);
  cudaGetLastError();
}

TEST("a copy of rows leaves what lies between them") {
  constexpr size_t kRows = 3, kWidth = 5, kPitch = 8;
  std::vector<unsigned char> rows(kRows * kWidth), out(kRows * kPitch);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<unsigned char>(i + 1);
  DeviceArray<unsigned char> device(std::vector<unsigned char>(kRows * kPitch, 0));
  CHECK_EQUAL(cudaMemcpy2DAsync(device.get(), kPitch, rows.data(), kWidth, kWidth, kRows, cudaMemcpyHostToDevice, nullptr), cudaSuccess);
  out = device.read();
  for (size_t i = 0; i < out.size(); ++i) CHECK_EQUAL(out[i], i % kPitch < kWidth ? i / kPitch * kWidth + i % kPitch + 1 : 0);
  const cudaError_t overlapping = cudaMemcpy2DAsync(device.get(), 4, rows.data(), kWidth, kWidth, kRows, cudaMemcpyHostToDevice, nullptr);
  CHECK_EQUAL(overlapping, cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST("a fill, and a copy of ordinary host memory, are on the device for other streams when the default stream was waited for") {
  const std::vector<unsigned> before = {3, 4, 5, 6};
  unsigned *memory = nullptr, *host = nullptr, *pinned = nullptr;
  cudaStream_t stream = nullptr;
  CHECK_EQUAL(cudaMalloc(&memory, 4 * sizeof *memory), cudaSuccess);
  CHECK_EQUAL(cudaHostAlloc(&host, 4 * sizeof *host, cudaHostAllocDefault), cudaSuccess);
  CHECK_EQUAL(cudaHostAlloc(&pinned, 4 * sizeof *pinned, cudaHostAllocDefault), cudaSuccess);
  CHECK_EQUAL(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  const auto first_seen = [&] {
    CHECK_EQUAL(cudaMemcpyAsync(host, memory, 4 * sizeof *host, cudaMemcpyDeviceToHost, stream), cudaSuccess);
    CHECK_EQUAL(cudaStreamSynchronize(stream), cudaSuccess);
    return host[0];
  };
  const bool lazy = [] {
    const char* const mode = std::getenv("CUDA_SIM_STREAM");
    return mode != nullptr && std::string(mode) == "lazy";
  }();

  CHECK_EQUAL(cudaMemset(memory, 0, 4 * sizeof *memory), cudaSuccess);
  CHECK_EQUAL(first_seen(), lazy ? 0xffffffffu : 0u);
  CHECK_EQUAL(cudaStreamSynchronize(nullptr), cudaSuccess);
  CHECK_EQUAL(first_seen(), 0u);

  std::vector<unsigned> values = before;
  CHECK_EQUAL(cudaMemcpy(memory, values.data(), 4 * sizeof *memory, cudaMemcpyHostToDevice), cudaSuccess);
  values.assign(4, 9);  // it has been copied aside
  CHECK_EQUAL(first_seen(), lazy ? 0u : 3u);
  CHECK_EQUAL(cudaStreamSynchronize(nullptr), cudaSuccess);
  CHECK_EQUAL(first_seen(), 3u);

  pinned[0] = 7;
  CHECK_EQUAL(cudaMemcpy(memory, pinned, 4 * sizeof *memory, cudaMemcpyHostToDevice), cudaSuccess);
  CHECK_EQUAL(first_seen(), 7u);
  CHECK_EQUAL(cudaStreamDestroy(stream), cudaSuccess);
  CHECK_EQUAL(cudaFree(memory), cudaSuccess);
  for (unsigned* const page_locked : {host, pinned}) CHECK_EQUAL(cudaFreeHost(page_locked), cudaSuccess);
}

__global__ void add_one(unsigned* values) { values[threadIdx.x] += 1; }

TEST("a kernel works on pinned host memory in place") {
  unsigned *host = nullptr, *device = nullptr;
  CHECK_EQUAL(cudaHostAlloc(&host, 4 * sizeof *host, cudaHostAllocMapped), cudaSuccess);
  CHECK_EQUAL(cudaHostGetDevicePointer(&device, host, 0), cudaSuccess);
  for (unsigned i = 0; i < 4; ++i) host[i] = i;
  CUDA_LAUNCH(add_one, 1, 4, 0, nullptr, device);
  CHECK_EQUAL(cudaDeviceSynchronize(), cudaSuccess);
  for (unsigned i = 0; i < 4; ++i) CHECK_EQUAL(host[i], i + 1);
  CHECK_EQUAL(cudaFree(host), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFreeHost(host), cudaSuccess);
  cudaGetLastError();
}

}  // namespace
}  // namespace powerinfer_test
