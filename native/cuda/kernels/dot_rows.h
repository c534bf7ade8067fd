// What are some rows of a matrix times some rows of a batch? The work of one warp, in the order of octet_products.cuh.
#pragma once
#include "../kernels.h"
#include "../octet.cuh"
#include "octet_products.cuh"
#include "warp.h"

namespace powerinfer::cuda {

// Matrix rows that a warp takes at once. Eight rows of x are 64 floats from the L1 cache for every octet of weights, which takes longer than those from
// memory unless several octets use them. A row of x alone is little, and more warps are better.
template <uint32_t kRows>
constexpr uint32_t kWeightRowsOf = kRows == 1 ? 1 : kRows == 2 ? 2 : 4;

// Rows first .. first + count of x, count <= kRows.
struct RowChunk {
  const float* values;
  uint32_t stride, count;
};

// dots[j] in lane r < count: matrix[n[j]] · x[r].
template <uint32_t kType, uint32_t kRows, uint32_t kWeightRows>
__device__ inline void dot_rows_of(const DeviceMatrix& matrix, const uint32_t (&n)[kWeightRows], const RowChunk& x, float (&dots)[kWeightRows]) {
  const uint32_t lane = threadIdx.x % kWarp, octets = octets_of(matrix.width);
  float sums[kWeightRows][kRows] = {};
#pragma unroll 4 / kWeightRows
  for (uint32_t i = lane; i < octets; i += kWarp) {
    float w[kWeightRows][8];
#pragma unroll
    for (uint32_t j = 0; j < kWeightRows; ++j) octet<kType>(matrix, n[j], i, w[j]);
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      float values[8];
      load_octet(x.values + uint64_t{min(r, x.count - 1)} * x.stride + i * 8, values);
#pragma unroll
      for (uint32_t j = 0; j < kWeightRows; ++j) sums[j][r] = add_products(w[j], values, sums[j][r]);
    }
  }
#pragma unroll
  for (uint32_t j = 0; j < kWeightRows; ++j)
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      const float sum = warp_sum(sums[j][r]);
      if (lane == r) dots[j] = sum;
    }
}

template <uint32_t kRows, uint32_t kWeightRows>
__device__ inline void dot_rows(const DeviceMatrix& matrix, const uint32_t (&n)[kWeightRows], const RowChunk& x, float (&dots)[kWeightRows]) {
  switch (matrix.type) {
    case F32: return dot_rows_of<F32, kRows>(matrix, n, x, dots);
    case F16: return dot_rows_of<F16, kRows>(matrix, n, x, dots);
    case BF16: return dot_rows_of<BF16, kRows>(matrix, n, x, dots);
    case Q8_0: return dot_rows_of<Q8_0, kRows>(matrix, n, x, dots);
    case Q4_0: return dot_rows_of<Q4_0, kRows>(matrix, n, x, dots);
    case Q4_K: return dot_rows_of<Q4_K, kRows>(matrix, n, x, dots);
    default: return dot_rows_of<Q6_K, kRows>(matrix, n, x, dots);
  }
}

}  // namespace powerinfer::cuda
