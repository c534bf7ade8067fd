// What do some queries make of the keys and values of one span of positions? A thread block's work, in shared memory.
//
// A score, a sum and an output each have one accumulation order, whichever queries are computed beside them.
#pragma once
#include <cmath>

#include "cache_vector.h"
#include "warp.h"

namespace powerinfer::cuda {

constexpr uint32_t kSpanPositions = 128;
constexpr uint32_t kQueriesMax = 8;       // of a thread block: each key and value is read once for all of them
constexpr uint32_t kAttendThreads = 128;
constexpr uint32_t kBlended = 4;          // queries whose outputs are summed at once
constexpr uint32_t kAhead = 4;            // loads that a thread has under way

// The softmax of some positions, unfinished: Σ e^(score - largest) of them is `total`.
struct Softmax {
  float largest, total;
};
__device__ inline Softmax of_no_positions() { return {-INFINITY, 0}; }

// What takes two unfinished outputs together: out = out * keep + more * add.
struct Blend {
  float keep, add;
  __device__ float of(float out, float more) const { return fmaf(out, keep, more * add); }
};

// Takes the positions of `more` into `all`.
__device__ inline Blend merge(Softmax& all, const Softmax& more) {
  if (more.total == 0) return {1, 0};  // the row ends before them
  const float largest = fmaxf(all.largest, more.largest);
  const Blend blend{expf(all.largest - largest), expf(more.largest - largest)};
  all = {largest, blend.of(all.total, more.total)};
  return blend;
}

// The keys and values of a span, and how many of its positions some query sees.
struct Span {
  const uint8_t* keys;
  const uint8_t* values;
  uint64_t vector_bytes;
  uint32_t count;
};

// scores[query][p] = scale * q[query] · key[p]. Neighbouring lanes read neighbouring eights of a key, so that a load of the warp has no gaps.
template <class Element>
__device__ void score_span(const Span& span, const float* q, uint32_t head_width, uint32_t query_count, float scale, float* scores) {
  const uint32_t octets = head_width / 8;
  uint32_t lanes = 1;  // of a position: a power of two
  while (lanes < octets) lanes *= 2;
  const uint32_t octet = threadIdx.x % lanes, first = threadIdx.x / lanes, step = kAttendThreads / lanes;
  for (uint32_t begin = 0; begin < span.count; begin += step * kAhead) {
    float keys[kAhead][8];
#pragma unroll
    for (uint32_t j = 0; j < kAhead; ++j) {
      const uint32_t p = begin + j * step + first;
      if (octet < octets && p < span.count) Element::load8(span.keys + p * span.vector_bytes, octet, keys[j]);
    }
    for (uint32_t query = 0; query < query_count; ++query) {
      const float* const wanted = q + query * head_width + octet * 8;
#pragma unroll
      for (uint32_t j = 0; j < kAhead; ++j) {
        const uint32_t p = begin + j * step + first;
        float sum = 0;
        if (octet < octets && p < span.count) {
#pragma unroll
          for (uint32_t i = 0; i < 8; ++i) sum = fmaf(wanted[i], keys[j][i], sum);
        }
        for (uint32_t distance = lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
        if (octet == 0 && p < span.count) scores[query * kSpanPositions + p] = sum * scale;
      }
    }
  }
}

// scores[p] = e^(scores[p] - largest) of the first `count`, by one warp.
__device__ inline Softmax soften(float* scores, uint32_t count) {
  const uint32_t lane = threadIdx.x % kWarp;
  Softmax softmax = of_no_positions();
  for (uint32_t p = lane; p < count; p += kWarp) softmax.largest = fmaxf(softmax.largest, scores[p]);
  softmax.largest = warp_max(softmax.largest);
  for (uint32_t p = lane; p < count; p += kWarp) softmax.total += scores[p] = expf(scores[p] - softmax.largest);
  softmax.total = warp_sum(softmax.total);
  return softmax;
}

// How many positions a thread block reads values of side by side: the threads that are left over wait.
__host__ __device__ constexpr uint32_t value_lanes(uint32_t head_width) { return kAttendThreads / (head_width / 8); }

// partial[query][lane] = Σ scores[query][p] * value[p] over the positions p ≡ lane (mod value_lanes) that the query sees, for kCount queries.
template <class Element, uint32_t kCount>
__device__ void blend_span(const Span& span, const uint32_t* counts, const float* scores, uint32_t head_width, float* partial) {
  const uint32_t octets = head_width / 8, lanes = value_lanes(head_width);
  const uint32_t octet = threadIdx.x % octets, first = threadIdx.x / octets;
  if (first >= lanes) return;
  float sums[kCount][8] = {};
  for (uint32_t begin = first; begin < span.count; begin += lanes * kAhead) {
    float values[kAhead][8];
#pragma unroll
    for (uint32_t j = 0; j < kAhead; ++j) {
      const uint32_t p = begin + j * lanes;
      if (p < span.count) Element::load8(span.values + p * span.vector_bytes, octet, values[j]);
    }
#pragma unroll
    for (uint32_t j = 0; j < kAhead; ++j) {
      const uint32_t p = begin + j * lanes;
#pragma unroll
      for (uint32_t n = 0; n < kCount; ++n) {
        if (p >= counts[n]) continue;  // a value that the query does not see may be NaN
        const float score = scores[n * kSpanPositions + p];
#pragma unroll
        for (uint32_t i = 0; i < 8; ++i) sums[n][i] = fmaf(score, values[j][i], sums[n][i]);
      }
    }
  }
#pragma unroll
  for (uint32_t n = 0; n < kCount; ++n) {
    float* const to = partial + (n * lanes + first) * head_width + octet * 8;
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) to[i] = sums[n][i];
  }
}

}  // namespace powerinfer::cuda
