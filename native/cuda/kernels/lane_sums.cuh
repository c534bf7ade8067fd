// Many sums over the lanes of a warp at once, each in the same order however many there are.
#pragma once
#include "../cuda.h"

namespace powerinfer::cuda {

// The sum over all lanes of values[lane * Count / 32], for Count a power of two up to 32: each lane is left with one sum, after Count - 1 shuffles and
// those that halve what one value is spread over. Lanes at distance 16 are added first, then 8, 4, 2 and 1.
template <uint32_t Count, uint32_t Distance = 16>
__device__ inline float lane_sums(const float (&values)[Count]) {
  if constexpr (Count > 1) {
    const bool upper = (threadIdx.x & Distance) != 0;
    float kept[Count / 2];
#pragma unroll
    for (uint32_t k = 0; k < Count / 2; ++k) {
      const float sent = upper ? values[k] : values[k + Count / 2];
      kept[k] = (upper ? values[k + Count / 2] : values[k]) + __shfl_xor_sync(~0u, sent, static_cast<int>(Distance));
    }
    return lane_sums<Count / 2, Distance / 2>(kept);
  } else {
    float sum = values[0];
#pragma unroll
    for (uint32_t distance = Distance; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, static_cast<int>(distance));
    return sum;
  }
}

}  // namespace powerinfer::cuda
