// Eight products added to a sum. Kernels that add them in this order, lane l of a warp octets l, l + 32, … one after the other, and then lanes at
// distance 16, 8, 4, 2 and 1, give a weight row's product the same bits.
#pragma once
#include "../cuda.h"

namespace powerinfer::cuda {

// Eight values from an address that is a multiple of 16.
__device__ inline void load_octet(const float* from, float (&values)[8]) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
  values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
}

__device__ inline float add_products(const float (&weights)[8], const float (&values)[8], float sum) {
#pragma unroll
  for (uint32_t k = 0; k < 8; ++k) sum = fmaf(weights[k], values[k], sum);
  return sum;
}

}  // namespace powerinfer::cuda
