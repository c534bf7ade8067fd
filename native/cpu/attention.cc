// What does a query make of the keys and values in its cache? softmax(q · k) · v, span by span.
//
// A unit of work is the query heads of one KV head in a block of adjacent rows: they read its keys and values together. Spans of a unit are
// merged in ascending order, by one thread or after several have computed them, so the result is the same.
#include <algorithm>
#include <cmath>

#include "forward.h"

namespace powerinfer {
namespace {

// The sums of some queries over some positions; see AttendSpan.
struct Sums {
  float* out;
  float* largest;
  float* totals;
};

class Attention {
 public:
  Attention(Model& model, uint32_t block) : model_(model), block_(block) { cut_rows(); }

  void run() const {
    const powerinfer_model_shape& s = model_.shape;
    ThreadPool& pool = model_.cpu->pool;
    const uint32_t unit_count = row_block_count_ * s.kv_head_count;
    // Few units, as one row makes, are cut along their positions, so that every thread finds work.
    const uint64_t piece_count = uint64_t{unit_count} * span_count_;
    const bool cut = span_count_ > 1 && unit_count < 4 * pool.thread_count() && pool.thread_count() > 1 &&
                     model_.batch.row_count <= kCutRowCountMax && piece_count <= UINT32_MAX;
    if (!cut) {
      pool.for_each(unit_count, [&](uint32_t unit, uint32_t thread) {
        const Sums sums = scratch(thread, 0);
        const Sums more = scratch(thread, 1);
        attend_span(unit, 0, thread, sums);
        for (uint32_t span = 1; span < span_count_of(unit); ++span) {
          attend_span(unit, span, thread, more);
          merge(unit, sums, more);
        }
        finish(unit, sums);
      });
      return;
    }
    pool.for_each(static_cast<uint32_t>(piece_count), [&](uint32_t piece, uint32_t thread) {
      const uint32_t unit = piece / span_count_;
      const uint32_t span = piece % span_count_;
      if (span < span_count_of(unit)) attend_span(unit, span, thread, piece_sums(unit, span));
    });
    pool.for_each(unit_count, [&](uint32_t unit, uint32_t) {
      for (uint32_t span = 1; span < span_count_of(unit); ++span) merge(unit, piece_sums(unit, 0), piece_sums(unit, span));
      finish(unit, piece_sums(unit, 0));
    });
  }

 private:
  // Blocks of adjacent rows of the same cache.
  void cut_rows() {
    const Batch& batch = model_.batch;
    const uint32_t rows_max = rows_of_block(model_.shape);
    for (uint32_t row = 0; row < batch.row_count; ++row) {
      const uint32_t spans = batch.rows[row].position / kSpanPositions + 1;
      const bool joins = row > 0 && batch.held[row] == batch.held[row - 1] && last().row_count < rows_max;
      if (!joins) model_.workspace.row_blocks[row_block_count_++] = {row, 0, 0};
      ++last().row_count;
      last().span_count = std::max(last().span_count, spans);
      span_count_ = std::max(span_count_, spans);
    }
  }

  RowBlock& last() const { return model_.workspace.row_blocks[row_block_count_ - 1]; }
  const RowBlock& rows_of(uint32_t unit) const { return model_.workspace.row_blocks[unit / model_.shape.kv_head_count]; }
  uint32_t kv_head_of(uint32_t unit) const { return unit % model_.shape.kv_head_count; }
  uint32_t span_count_of(uint32_t unit) const { return rows_of(unit).span_count; }

  Sums sums_at(const SpanSums& sums, uint64_t query) const {
    return {&sums.out[query * model_.shape.head_width], &sums.largest[query], &sums.totals[query]};
  }
  // One of the two places that a thread has for the sums of a unit.
  Sums scratch(uint32_t thread, uint32_t which) const {
    return sums_at(model_.workspace.thread_sums, (uint64_t{thread} * 2 + which) * queries_of_block(model_.shape));
  }
  Sums piece_sums(uint32_t unit, uint32_t span) const {
    const RowBlock& rows = rows_of(unit);
    const uint64_t unit_queries = uint64_t{rows.row_count} * group_;
    const uint64_t before = uint64_t{rows.first_row} * model_.shape.head_count + kv_head_of(unit) * unit_queries;
    return sums_at(model_.piece_sums, before * span_count_ + span * unit_queries);
  }

  void attend_span(uint32_t unit, uint32_t span, uint32_t thread, const Sums& sums) const {
    const powerinfer_model_shape& s = model_.shape;
    const Workspace& w = model_.workspace;
    const RowBlock& rows = rows_of(unit);
    const uint32_t kv_head = kv_head_of(unit);
    const uint32_t first_position = span * kSpanPositions;
    const Cache& cache = *model_.batch.held[rows.first_row];
    uint32_t position_counts[kRowsOfBlockMax];
    for (uint32_t row = 0; row < rows.row_count; ++row) {
      const uint32_t end = model_.batch.rows[rows.first_row + row].position + 1;
      position_counts[row] = end <= first_position ? 0 : std::min(end - first_position, kSpanPositions);
    }
    model_.cpu->kernels.attend_span[cache.type]({&w.q[uint64_t{rows.first_row} * model_.q_width() + uint64_t{kv_head} * group_ * s.head_width],
                                                 model_.q_width(),
                                                 rows.row_count,
                                                 group_,
                                                 cache.key(block_, kv_head, first_position),
                                                 cache.value(block_, kv_head, first_position),
                                                 cache.position_bytes(),
                                                 position_counts,
                                                 s.head_width,
                                                 static_cast<float>(1 / std::sqrt(static_cast<double>(s.head_width))),
                                                 &w.scores[uint64_t{thread} * queries_of_block(s) * kSpanPositions],
                                                 sums.largest,
                                                 sums.totals,
                                                 sums.out});
  }

  // sums = those of both: but for rounding, what one span of all their positions would have given.
  void merge(uint32_t unit, const Sums& sums, const Sums& more) const {
    const uint32_t width = model_.shape.head_width;
    for (uint32_t query = 0; query < rows_of(unit).row_count * group_; ++query) {
      if (more.totals[query] == 0) continue;  // its row ends before this span
      const float largest = std::max(sums.largest[query], more.largest[query]);
      const float keep = std::exp(sums.largest[query] - largest);
      const float add = std::exp(more.largest[query] - largest);
      float* const out = sums.out + uint64_t{query} * width;
      const float* const part = more.out + uint64_t{query} * width;
      for (uint32_t i = 0; i < width; ++i) out[i] = out[i] * keep + part[i] * add;
      sums.totals[query] = sums.totals[query] * keep + more.totals[query] * add;
      sums.largest[query] = largest;
    }
  }

  void finish(uint32_t unit, const Sums& sums) const {
    const uint32_t width = model_.shape.head_width;
    const RowBlock& rows = rows_of(unit);
    for (uint32_t query = 0; query < rows.row_count * group_; ++query) {
      const uint32_t row = rows.first_row + query / group_;
      const uint32_t head = kv_head_of(unit) * group_ + query % group_;
      float* const to = &model_.workspace.attended[uint64_t{row} * model_.q_width() + uint64_t{head} * width];
      for (uint32_t i = 0; i < width; ++i) to[i] = sums.out[uint64_t{query} * width + i] / sums.totals[query];
    }
  }

  Model& model_;
  const uint32_t block_;
  const uint32_t group_ = group_of(model_.shape);
  uint32_t row_block_count_ = 0;
  uint32_t span_count_ = 0;  // of the row that sees most
};

}  // namespace

void attend_cache(Model& model, uint32_t block) { Attention(model, block).run(); }

}  // namespace powerinfer
