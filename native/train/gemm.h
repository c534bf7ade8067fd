// How are matrices multiplied?
#pragma once
#include <cstdint>

#include "../cpu/buffer.h"
#include "../cpu/thread_pool.h"
#include "kernels.h"

namespace powerinfer {

// Element (i, j) of a factor lies at values + i * row_step + j * column_step; one of the steps is 1.
struct Factor {
  const float* values;
  uint64_t row_step;
  uint64_t column_step;
};

// c[i][j] (+)= Σk a(i, k) b(k, j) for c f32[rows, columns].
struct Gemm {
  uint32_t rows;
  uint32_t columns;
  uint32_t depth;
  Factor a;
  Factor b;
  float* c;
  uint64_t c_stride;
  bool adds;
};

// A matrix f32[rows, columns] as a factor, as it is or transposed.
inline Factor plain(const float* values, uint64_t stride) { return {values, stride, 1}; }
inline Factor transposed(const float* values, uint64_t stride) { return {values, 1, stride}; }

// Multiplies on all threads of a pool. A sum's terms are added in ascending order of k, one after another: neither threads nor tiles change a result.
class Multiplier {
 public:
  // Allocates room for the packed factors of products of up to `columns_max` columns.
  Multiplier(ThreadPool& pool, const TrainKernels& kernels, uint32_t columns_max);
  void multiply(const Gemm& gemm) const;

 private:
  ThreadPool& pool_;
  const TrainKernels& kernels_;
  uint64_t packed_a_floats_;  // a thread
  Buffer<float> packed_a_;
  Buffer<float> packed_b_;
};

}  // namespace powerinfer
