// What are some rows of a matrix times some rows of a batch?
//
// A warp takes four weight rows, so that each value of x which it reads is used four times: values are eight times as many bytes as weights of four bits,
// and all come through the L1 cache. For the memory's sake many loads have to be under way; so four warps can share the width.
//
// One order of a sum, however many rows and whoever adds them up: the width is four shares, share s has octets 32 s + l + 128 k for lane l; a lane adds
// its octets one after the other, then lanes at distance 16, 8, 4, 2 and 1 are added, then shares in ascending order. Kernels that keep to it give a
// weight row's product the same bits.
#pragma once
#include <algorithm>

#include "../kernels.h"
#include "../octet.cuh"
#include "lane_sums.cuh"
#include "warp.h"

namespace powerinfer::cuda {

constexpr uint32_t kWeightRows = 4;  // of a warp
constexpr uint32_t kShares = 4;      // of the width

// Rows first .. first + count of x, count <= kRows.
struct RowChunk {
  const float* values;
  uint32_t stride, count;
};

// Eight values of x.
struct Values {
  float at[8];

  // From an address that is a multiple of 16.
  __device__ explicit Values(const float* from) {
    const float4 low = reinterpret_cast<const float4*>(from)[0];
    const float4 high = reinterpret_cast<const float4*>(from)[1];
    at[0] = low.x, at[1] = low.y, at[2] = low.z, at[3] = low.w;
    at[4] = high.x, at[5] = high.y, at[6] = high.z, at[7] = high.w;
  }
  __device__ float sum() const { return ((at[0] + at[1]) + (at[2] + at[3])) + ((at[4] + at[5]) + (at[6] + at[7])); }
};

// A decoded octet: its weights are scale * codes + offset. A product is made with the codes, which are small integers, and scaled once.
template <uint32_t kType>
struct Octet {
  static constexpr bool kScaled = !Format<kType>::kPlain, kHasOffset = Format<kType>::kHasOffset;
  float codes[8];
  float scale;   // kScaled
  float offset;  // kHasOffset

  // sum + this · x, where x_sum is x.sum().
  __device__ float add_product(const Values& x, float x_sum, float sum) const {
    float product = kScaled ? codes[0] * x.at[0] : fmaf(codes[0], x.at[0], sum);
#pragma unroll
    for (uint32_t k = 1; k < 8; ++k) product = fmaf(codes[k], x.at[k], product);
    if constexpr (!kScaled) return product;
    else if constexpr (!kHasOffset) return fmaf(scale, product, sum);
    else return fmaf(offset, x_sum, fmaf(scale, product, sum));
  }
};

// An octet of each of kWeightRows rows. Lanes whose octets are of one group need the same scales: each of them loads and decodes those of some rows.
template <uint32_t kType>
class RowOctets {
  using F = Format<kType>;
  static constexpr bool kScaled = Octet<kType>::kScaled, kHasOffset = Octet<kType>::kHasOffset;
  static constexpr uint32_t kSharers = F::kGroupOctets, kOwn = kWeightRows / kSharers;

 public:
  // As they lie in memory; scale k is of row k * kSharers + (the lane's number among its sharers).
  struct Packed {
    PackedCodes<kType> codes[kWeightRows];
    PackedScale scales[kOwn];
  };

  // Octet i of rows n[j]; octets of neighbouring lanes follow each other, from a multiple of 32 on.
  __device__ RowOctets(const DeviceMatrix& matrix, const uint32_t (&n)[kWeightRows], uint32_t i) {
#pragma unroll
    for (uint32_t j = 0; j < kWeightRows; ++j) codes_[j] = codes_at<kType>(matrix, n[j], i);
#pragma unroll
    for (uint32_t k = 0; kScaled && k < kOwn; ++k) {
      uint32_t own = n[k * kSharers];
#pragma unroll
      for (uint32_t j = 1; j < kSharers; ++j) own = i % kSharers == j ? n[k * kSharers + j] : own;
      scales_[k] = scales_at<kType>(matrix, own, i);
    }
  }

  // Octets i + octets, for a multiple of 32.
  __device__ Packed load(uint32_t octets) const {
    Packed packed;
#pragma unroll
    for (uint32_t j = 0; j < kWeightRows; ++j) packed.codes[j] = cuda::load<kType>(further<kType>(codes_[j], octets));
#pragma unroll
    for (uint32_t k = 0; kScaled && k < kOwn; ++k) packed.scales[k] = cuda::load<kType>(further<kType>(scales_[k], octets));
    return packed;
  }

  __device__ void advance(uint32_t octets) {
#pragma unroll
    for (uint32_t j = 0; j < kWeightRows; ++j) codes_[j] = further<kType>(codes_[j], octets);
#pragma unroll
    for (uint32_t k = 0; kScaled && k < kOwn; ++k) scales_[k] = further<kType>(scales_[k], octets);
  }

  // By all lanes of a warp together.
  __device__ static void decode(const Packed& packed, Octet<kType> (&octets)[kWeightRows]) {
    Octet<kType> own[kOwn];
#pragma unroll
    for (uint32_t k = 0; kScaled && k < kOwn; ++k) {
      const Scale of = cuda::decode<kType>(packed.scales[k]);
      own[k].scale = of.scale;
      if constexpr (kHasOffset) own[k].offset = fmaf(F::kCentre, of.scale, -of.minimum);  // small, because codes are about the centre
    }
#pragma unroll
    for (uint32_t j = 0; j < kWeightRows; ++j) {
      cuda::decode(packed.codes[j], F::kCentre, octets[j].codes);
      if constexpr (kScaled) octets[j].scale = __shfl_sync(kAllLanes, own[j / kSharers].scale, j % kSharers, kSharers);
      if constexpr (kHasOffset) octets[j].offset = __shfl_sync(kAllLanes, own[j / kSharers].offset, j % kSharers, kSharers);
    }
  }

 private:
  CodePlanes codes_[kWeightRows];
  ScalePlanes scales_[kOwn];
};

// Steps whose weights are under way at once: of one row of x, about 64 bytes a lane, 2 KB a warp; of two, half of it.
template <uint32_t kType, uint32_t kRows>
constexpr uint32_t kStepsAhead = std::max(1u, (kRows == 1 ? 16 : kRows == 2 ? 8 : 1) / (Format<kType>::kCodeBytes + Format<kType>::kHighBytes));

// Numbers of weight rows.
struct RowNumbers {
  uint32_t of[kWeightRows];
};

// A share of the products matrix[n[j]] · x[r], of which number j * kRows + r is left in the lanes whose place in the warp, as a fraction, is the product's
// place among all (lane_sums). By all lanes of a warp together.
template <uint32_t kType, uint32_t kRows>
__device__ inline float share_products(const DeviceMatrix& matrix, const RowNumbers& n, const RowChunk& x, uint32_t share) {
  constexpr uint32_t kStride = kShares * kWarp, kAhead = kStepsAhead<kType, kRows>;
  using Packed = typename RowOctets<kType>::Packed;
  const uint32_t octets = octets_of(matrix.width), lane = threadIdx.x % kWarp;
  const uint32_t edge = Format<kType>::kBlockOctets == kWarp ? 0 : lane;  // rows of whole blocks of 256 weights end with a whole step
  float sums[kWeightRows * kRows] = {};
  RowOctets<kType> weights(matrix, n.of, share * kWarp + lane);
  for (uint32_t first = share * kWarp; first < octets; first += kAhead * kStride) {
    Packed packed[kAhead];
#pragma unroll
    for (uint32_t step = 0; step < kAhead; ++step) packed[step] = first + step * kStride + edge < octets ? weights.load(step * kStride) : Packed{};
    weights.advance(kAhead * kStride);
#pragma unroll
    for (uint32_t step = 0; step < kAhead; ++step) {
      if (first + step * kStride >= octets) break;
      Octet<kType> octet[kWeightRows];
      RowOctets<kType>::decode(packed[step], octet);
      if (first + step * kStride + edge >= octets) break;
      const float* const from = x.values + (first + step * kStride + lane) * 8;
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) {
        const Values values(from + min(r, x.count - 1) * x.stride);
        const float x_sum = Octet<kType>::kHasOffset ? values.sum() : 0;
#pragma unroll
        for (uint32_t j = 0; j < kWeightRows; ++j) sums[j * kRows + r] = octet[j].add_product(values, x_sum, sums[j * kRows + r]);
      }
    }
  }
  return lane_sums(sums);
}

// Where the warps of a block leave their shares of products for each other.
template <uint32_t kRows>
struct ShareSums {
  static constexpr uint32_t kCount = kWeightRows * kRows;
  float of[kShares][kCount];

  // What share_products returned. By all threads of a block of kShares warps.
  __device__ void put(float sum) {
    const uint32_t lane = threadIdx.x % kWarp, share = threadIdx.x / kWarp;
    __syncthreads();  // the last ones were read
    if (lane % (kWarp / kCount) == 0) of[share][lane * kCount / kWarp] = sum;
    __syncthreads();
  }
  __device__ float total(uint32_t product) const {
    float total = of[0][product];
#pragma unroll
    for (uint32_t share = 1; share < kShares; ++share) total += of[share][product];
    return total;
  }
};

}  // namespace powerinfer::cuda
