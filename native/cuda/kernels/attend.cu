// What does a row take from the positions before it? out = softmax(q · k / √head_width) · v of every query head.
//
// Queries that read the same keys and values are computed together: the query heads of a KV head, in adjacent rows of one cache. The first such row's
// thread block takes them all, those of the others leave at once; so a batch of any caches has the same grid, and a prompt is still read once for
// several rows.
//
// Positions are cut into spans, whose sums are merged in ascending order. Of many rows a thread block goes through its spans alone; of few rows every
// span has a thread block of its own, and a second kernel merges what they left in scratch. Either way the same numbers are added in the same order.
#include <algorithm>
#include <cstring>
#include <vector>

#include "../../quant/q8_0.h"
#include "../definitions.h"
#include "attend_queries.h"

namespace powerinfer::cuda {
namespace {

float number_at(uint32_t cache_type, const uint8_t* vector, uint32_t i) {
  if (cache_type == POWERINFER_CACHE_Q8_0) {
    BlockQ8_0 block;
    std::memcpy(&block, vector + i / 32 * sizeof block, sizeof block);
    return float_from_f16(block.d) * block.codes[i % 32];
  }
  uint32_t bits = 0;
  const uint32_t size = cache_type == POWERINFER_CACHE_F16 ? 2 : 4;
  std::memcpy(&bits, vector + uint64_t{i} * size, size);
  return size == 2 ? float_from_f16(static_cast<uint16_t>(bits)) : float_from_bits(bits);
}

}  // namespace

// The definition, in double.
void attend_definition(const Attend& op) {
  for (uint32_t row = 0; row < op.row_count; ++row)
    for (uint32_t h = 0; h < op.head_count; ++h) {
      const CacheView& cache = op.caches[op.rows[row].cache];
      const uint32_t kv_head = h / (op.head_count / op.kv_head_count), end = op.rows[row].position + 1;
      const float* const q = op.q.values + uint64_t{row} * op.q.stride + h * op.head_width;
      std::vector<double> scores(end), sums(op.head_width);
      for (uint32_t p = 0; p < end; ++p) {
        const uint8_t* const key = vector_at(cache, {op.block, kKey, op.kv_head_count, kv_head, op.head_width}, p);
        for (uint32_t i = 0; i < op.head_width; ++i) scores[p] += double{q[i]} * number_at(cache.type, key, i);
        scores[p] /= std::sqrt(static_cast<double>(op.head_width));
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      double total = 0;
      for (uint32_t p = 0; p < end; ++p) {
        const double weight = std::exp(scores[p] - largest);
        total += weight;
        const uint8_t* const value = vector_at(cache, {op.block, kValue, op.kv_head_count, kv_head, op.head_width}, p);
        for (uint32_t i = 0; i < op.head_width; ++i) sums[i] += weight * number_at(cache.type, value, i);
      }
      float* const out = op.out.values + uint64_t{row} * op.out.stride + h * op.head_width;
      for (uint32_t i = 0; i < op.head_width; ++i) out[i] = static_cast<float>(sums[i] / total);
    }
}

namespace {

// Up to this many rows, every span has a thread block of its own: more rows are work enough.
constexpr uint32_t kSplitRows = 16;

// A thread block of the grid: [row][some query heads of a KV head][span, or all].
__global__ void __launch_bounds__(kAttendThreads) attend(Attend op, Deal deal) {
  const uint32_t row = blockIdx.x, pieces = (deal.group + deal.heads - 1) / deal.heads;
  const uint32_t kv_head = blockIdx.y / pieces, first_head = blockIdx.y % pieces * deal.heads;
  const uint32_t cache = op.rows[row].cache;
  if (row % deal.rows != 0 && op.rows[row - 1].cache == cache) return;
  uint32_t end = row + 1;
  while (end < op.row_count && end % deal.rows != 0 && op.rows[end].cache == cache) ++end;
  const uint32_t heads = min(deal.heads, deal.group - first_head);
  const Queries queries{row, kv_head, kv_head * deal.group + first_head, heads, heads * (end - row)};
  switch (op.caches[cache].type) {
    case POWERINFER_CACHE_F16: return attend_queries<CacheF16>(op, deal, queries);
    case POWERINFER_CACHE_F32: return attend_queries<CacheF32>(op, deal, queries);
    case POWERINFER_CACHE_Q8_0: return attend_queries<CacheQ8_0>(op, deal, queries);
  }
}

// A thread block a query, a thread a column of its output.
__global__ void merge_spans(Attend op, Deal deal) {
  const uint32_t row = blockIdx.x, head = blockIdx.y;
  const uint32_t spans = op.rows[row].position / kSpanPositions + 1;
  const uint64_t first = deal.place(op, row, head, 0);
  for (uint32_t i = threadIdx.x; i < op.head_width; i += blockDim.x) {
    Softmax softmax = of_no_positions();
    float out = 0;
    for (uint32_t span = 0; span < spans; ++span) {
      const float part = deal.outputs[(first + span) * op.head_width + i];
      out = merge(softmax, deal.softmaxes[first + span]).of(out, part);
    }
    op.out.values[uint64_t{row} * op.out.stride + head * op.head_width + i] = out / softmax.total;
  }
}

uint32_t spans_of(uint32_t position_count) { return (position_count + kSpanPositions - 1) / kSpanPositions; }

}  // namespace

uint64_t attend_scratch_floats(uint32_t row_count, uint32_t head_count, uint32_t head_width, uint32_t position_count) {
  const uint32_t floats = head_width + sizeof(Softmax) / sizeof(float);
  return uint64_t{std::min(row_count, kSplitRows)} * head_count * spans_of(position_count) * floats;
}

void launch_attend(const Attend& op, cudaStream_t stream) {
  Deal deal{};
  deal.group = op.head_count / op.kv_head_count;
  deal.heads = std::min(deal.group, kQueriesMax);
  deal.rows = kQueriesMax / deal.heads;
  deal.spans = spans_of(op.position_max + 1);
  deal.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(op.head_width)));
  const bool split = op.row_count <= kSplitRows && deal.spans > 1;
  if (split) {
    deal.softmaxes = reinterpret_cast<Softmax*>(op.scratch);
    deal.outputs = op.scratch + uint64_t{op.row_count} * op.head_count * deal.spans * (sizeof(Softmax) / sizeof(float));
  }
  const uint32_t shared_bytes = deal.shared_floats(op.row_count, op.head_width) * sizeof(float);
  const uint32_t pieces = (deal.group + deal.heads - 1) / deal.heads;
  CUDA_LAUNCH(attend, dim3(op.row_count, op.kv_head_count * pieces, split ? deal.spans : 1), kAttendThreads, shared_bytes, stream, op, deal);
  if (split) CUDA_LAUNCH(merge_spans, dim3(op.row_count, op.head_count), std::min(op.head_width, 128u), 0, stream, op, deal);
}

}  // namespace powerinfer::cuda
