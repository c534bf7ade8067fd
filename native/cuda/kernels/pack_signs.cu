// What is left of a vector when only signs and a few levels of magnitude are kept? (native/predictors/sign_bits.cc)
//
// The sum of squares is added in another order than on the CPU, in double: where a magnitude lies within some 2^-45 of the border between two
// levels, it may get the other one.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../predictors/sign_levels.h"
#include "../definitions.h"
#include "warp.h"

namespace powerinfer::cuda {

// The definition. One plane: every place weighs the same, whatever is there. A NaN has level 0.
void pack_signs_definition(const PackSigns& op) {
  for (uint32_t row = 0; row < op.row_count; ++row) {
    const float* const x = op.x.values + uint64_t{row} * op.x.stride;
    uint8_t* const signs = op.bits + uint64_t{row} * (1 + op.plane_count) * op.row_bytes;
    std::memset(signs, 0, uint64_t{1 + op.plane_count} * op.row_bytes);
    double squares = 0;
    for (uint32_t i = 0; i < op.x.width; ++i) squares += double{x[i]} * x[i];
    const double mean = std::sqrt(squares / op.x.width), level_max = (1u << op.plane_count) - 1;
    const double levels = mean > 0 ? kMeanLevel[op.plane_count] / mean : 0;
    uint32_t total = 0, length = 0;
    for (uint32_t i = 0; i < op.x.width; ++i) {
      const double level = op.plane_count == 1 ? 1 : std::floor(std::min(std::abs(double{x[i]}) * levels + 0.5, level_max));
      const uint32_t magnitude = level >= 0 ? static_cast<uint32_t>(level) : 0;
      if (x[i] < 0) signs[i / 8] = static_cast<uint8_t>(signs[i / 8] | 1u << i % 8);
      for (uint32_t p = 0; p < op.plane_count; ++p) {
        uint8_t& byte = signs[uint64_t{1 + p} * op.row_bytes + i / 8];
        byte = static_cast<uint8_t>(byte | (magnitude >> p & 1u) << i % 8);
      }
      total += magnitude;
      length += magnitude * magnitude;
    }
    op.totals[row] = total;
    op.lengths[row] = std::sqrt(static_cast<float>(std::max(length, 1u)));
  }
}

namespace {

constexpr uint32_t kThreads = 256;  // divides the bits of a row

// The sum over all threads of the block, in every thread, always in the same order.
template <class T>
__device__ T block_sum(T value) {
  __shared__ T sums[kThreads / kWarp];
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = 0;
  for (const T part : sums) sum += part;
  __syncthreads();
  return sum;
}

// A thread block a row, a warp 32 places of it: a word of signs and of each plane.
__global__ void pack_signs(PackSigns op, double mean_level) {
  const uint32_t row = blockIdx.x;
  const float* const x = op.x.values + uint64_t{row} * op.x.stride;
  uint8_t* const signs = op.bits + uint64_t{row} * (1 + op.plane_count) * op.row_bytes;
  double squares = 0;
  for (uint32_t i = threadIdx.x; i < op.x.width; i += kThreads) squares += double{x[i]} * x[i];
  const double mean = sqrt(block_sum(squares) / op.x.width), level_max = (1u << op.plane_count) - 1;
  const double levels = mean > 0 ? mean_level / mean : 0;

  uint32_t total = 0, length = 0;
  for (uint32_t i = threadIdx.x; i < op.row_bytes * 8; i += kThreads) {
    const float value = i < op.x.width ? x[i] : 0;
    const double scaled = fabs(double{value}) * levels + 0.5;
    const double level = op.plane_count == 1 ? 1 : floor(level_max < scaled ? level_max : scaled);
    const uint32_t magnitude = i < op.x.width && level >= 0 ? static_cast<uint32_t>(level) : 0;
    const auto store = [&](uint32_t which, bool bit) {
      const uint32_t word = __ballot_sync(kAllLanes, bit);
      if (i % kWarp == 0) *reinterpret_cast<uint32_t*>(signs + uint64_t{which} * op.row_bytes + i / 8) = word;
    };
    store(0, value < 0);
    for (uint32_t p = 0; p < op.plane_count; ++p) store(1 + p, (magnitude >> p & 1u) != 0);
    total += magnitude;
    length += magnitude * magnitude;
  }
  total = block_sum(total);
  length = block_sum(length);
  if (threadIdx.x != 0) return;
  op.totals[row] = total;
  op.lengths[row] = __fsqrt_rn(static_cast<float>(max(length, 1u)));
}

}  // namespace

void launch_pack_signs(const PackSigns& op, cudaStream_t stream) {
  CUDA_LAUNCH(pack_signs, op.row_count, kThreads, 0, stream, op, kMeanLevel[op.plane_count]);
}

}  // namespace powerinfer::cuda
