// What do some queries make of all positions that they see? Span after span, or one span of them, by a thread block.
#pragma once
#include "attend_span.h"

namespace powerinfer::cuda {

// How queries are dealt to thread blocks, and where they leave sums to be merged.
struct Deal {
  uint32_t group;      // query heads of a KV head
  uint32_t heads;      // of them, in one thread block
  uint32_t rows;       // in one thread block
  uint32_t spans;      // of the row that may see most
  float scale;         // 1 / √head_width
  Softmax* softmaxes;  // [row][head][span]; null: each thread block goes through all its spans
  float* outputs;      // f32[row][head][span][head_width]

  uint32_t queries_max(uint32_t row_count) const { return heads * (rows < row_count ? rows : row_count); }
  // Of dynamic shared memory.
  uint32_t shared_floats(uint32_t row_count, uint32_t head_width) const {
    const uint32_t queries = queries_max(row_count), together = queries < kBlended ? queries : kBlended;
    return queries * (2 * head_width + kSpanPositions) + together * value_lanes(head_width) * head_width;
  }
  __device__ uint64_t place(const Attend& op, uint32_t row, uint32_t head, uint32_t span) const {
    return (uint64_t{row} * op.head_count + head) * spans + span;
  }
};

// The queries of one thread block: query n is of row first_row + n / heads, head first_head + n % heads.
struct Queries {
  uint32_t first_row, kv_head, first_head, heads, count;
  __device__ uint32_t row(uint32_t n) const { return first_row + n / heads; }
  __device__ uint32_t head(uint32_t n) const { return first_head + n % heads; }
};

template <class Element>
__device__ void attend_queries(const Attend& op, const Deal& deal, const Queries& queries) {
  CUDA_DYNAMIC_SHARED(float, shared);
  __shared__ uint32_t ends[kQueriesMax];    // positions that each query sees
  __shared__ uint32_t counts[kQueriesMax];  // of the span
  __shared__ Softmax softmaxes[kQueriesMax];
  __shared__ Blend blends[kQueriesMax];
  const uint32_t width = op.head_width, lanes = value_lanes(width), numbers = queries.count * width;
  float* const q = shared;
  float* const out = q + numbers;
  float* const scores = out + numbers;
  float* const partial = scores + queries.count * kSpanPositions;

  for (uint32_t at = threadIdx.x; at < numbers; at += kAttendThreads) {
    const uint32_t n = at / width;
    q[at] = op.q.values[uint64_t{queries.row(n)} * op.q.stride + queries.head(n) * width + at % width];
    out[at] = 0;
  }
  if (threadIdx.x < queries.count) {
    ends[threadIdx.x] = op.rows[queries.row(threadIdx.x)].position + 1;
    softmaxes[threadIdx.x] = of_no_positions();
  }
  __syncthreads();
  uint32_t end = 0;
  for (uint32_t n = 0; n < queries.count; ++n) end = max(end, ends[n]);
  const CacheView cache = op.caches[op.rows[queries.first_row].cache];
  const uint8_t* const keys = vector_at(cache, {op.block, kKey, op.kv_head_count, queries.kv_head, width}, 0);
  const uint8_t* const values = vector_at(cache, {op.block, kValue, op.kv_head_count, queries.kv_head, width}, 0);
  const uint64_t bytes = vector_bytes(cache.type, width);

  const bool split = deal.softmaxes != nullptr;
  for (uint32_t index = blockIdx.z; index * kSpanPositions < end && (!split || index == blockIdx.z); ++index) {
    const uint32_t begin = index * kSpanPositions;
    const Span span{keys + begin * bytes, values + begin * bytes, bytes, min(end - begin, kSpanPositions)};
    score_span<Element>(span, q, width, queries.count, deal.scale, scores);
    __syncthreads();
    for (uint32_t n = threadIdx.x / kWarp; n < queries.count; n += kAttendThreads / kWarp) {
      const uint32_t count = ends[n] <= begin ? 0 : min(ends[n] - begin, kSpanPositions);
      const Softmax softmax = soften(scores + n * kSpanPositions, count);
      if (threadIdx.x % kWarp != 0) continue;
      counts[n] = count;
      blends[n] = merge(softmaxes[n], softmax);
      if (split) deal.softmaxes[deal.place(op, queries.row(n), queries.head(n), index)] = softmax;
    }
    __syncthreads();
    for (uint32_t n = 0; n < queries.count;) {
      const uint32_t together = queries.count - n >= kBlended ? kBlended : 1;
      if (together == 1) blend_span<Element, 1>(span, counts + n, scores + n * kSpanPositions, width, partial);
      else blend_span<Element, kBlended>(span, counts + n, scores + n * kSpanPositions, width, partial);
      __syncthreads();
      for (uint32_t at = threadIdx.x; at < together * width; at += kAttendThreads) {
        const float* const parts = partial + uint64_t{at / width} * lanes * width + at % width;
        float sum = 0;
        for (uint32_t lane = 0; lane < lanes; ++lane) sum += parts[lane * width];
        const uint32_t query = n + at / width;
        if (split) deal.outputs[deal.place(op, queries.row(query), queries.head(query), index) * width + at % width] = sum;
        else out[n * width + at] = blends[query].of(out[n * width + at], sum);
      }
      __syncthreads();
      n += together;
    }
  }
  for (uint32_t at = threadIdx.x; !split && at < numbers; at += kAttendThreads) {
    const uint32_t n = at / width;
    op.out.values[uint64_t{queries.row(n)} * op.out.stride + queries.head(n) * width + at % width] = out[at] / softmaxes[n].total;
  }
}

}  // namespace powerinfer::cuda
