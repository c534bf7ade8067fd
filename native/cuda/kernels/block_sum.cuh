// A sum over the threads of a block, in one order: lanes in pairs, then warps one after another.
#pragma once
#include "../cuda.h"

namespace powerinfer::cuda {

// All threads of the block call it, `Warps` warps of them, and all get the sum. `scratch` is shared memory that nothing else uses.
template <uint32_t Warps>
__device__ inline float block_sum(float value, float (&scratch)[Warps]) {
  for (uint32_t distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, static_cast<int>(distance));
  __syncthreads();  // the last sum was read
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = scratch[0];
  for (uint32_t warp = 1; warp < Warps; ++warp) sum += scratch[warp];
  return sum;
}

}  // namespace powerinfer::cuda
