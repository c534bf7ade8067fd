// What the 32 threads of a warp find out together.
#pragma once
#include "../cuda.h"

namespace powerinfer::cuda {

constexpr uint32_t kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// The sum over all lanes, in every lane; of floats always in the same order.
template <class T>
__device__ inline T warp_sum(T value) {
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// The largest over all lanes, in every lane. Of floats NaN counts only where there is nothing else.
template <class T>
__device__ inline T warp_max(T value) {
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) value = max(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

}  // namespace powerinfer::cuda
