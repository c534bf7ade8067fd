// A kernel that sums one row more than the matrix has. With an argument: as many as it has.
#include <cstdio>
#include <vector>

#include "../../cuda.h"

namespace {

constexpr unsigned kRows = 5, kWidth = 32;

__global__ void sum_rows(const float* matrix, unsigned row_count, float* sums) {
  float sum = 0;
  for (unsigned row = 0; row < row_count; ++row) sum += matrix[row * kWidth + threadIdx.x];
  sums[threadIdx.x] = sum;
}

}  // namespace

int main(int argument_count, char**) {
  std::vector<float> values(kRows * kWidth, 1.0f);
  float *matrix = nullptr, *sums = nullptr;
  cudaMalloc(&matrix, values.size() * sizeof(float));
  cudaMalloc(&sums, kWidth * sizeof(float));
  cudaMemcpy(matrix, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice);
  CUDA_LAUNCH(sum_rows, 1, kWidth, 0, nullptr, matrix, argument_count > 1 ? kRows : kRows + 1, sums);
  cudaMemcpy(values.data(), sums, kWidth * sizeof(float), cudaMemcpyDeviceToHost);
  std::printf("The sum is %g\n", static_cast<double>(values[0]));
  return values[0] != static_cast<float>(kRows);
}
