// Every buffer that a batch needs, on the device and page-locked on the host.
#include "workspace.h"

#include <algorithm>

namespace powerinfer::cuda {
namespace {

uint64_t words_of(const powerinfer_model_shape& shape) { return (shape.ffn_width + 31) / 32; }

DeviceRows rows_of(Layout& layout, uint64_t row_count, uint32_t width) {
  const uint32_t stride = row_stride(width);
  return {layout.take<float>(row_count * stride), stride, width};
}

}  // namespace

Workspace workspace_of(const powerinfer_model_shape& s, bool home, uint32_t share_count_max, Layout& layout) {
  const uint64_t row_count = s.row_count_max, words = words_of(s);
  const uint32_t q_width = s.head_count * s.head_width, kv_width = s.kv_head_count * s.head_width;
  Workspace w;
  if (home) {
    w.residual = rows_of(layout, row_count, s.hidden_width);
    if (s.parallel != 0) w.block_input = rows_of(layout, row_count, s.hidden_width);
    w.normed = rows_of(layout, row_count, s.hidden_width);
    w.q = rows_of(layout, row_count, q_width);
    w.k = rows_of(layout, row_count, kv_width);
    w.v = rows_of(layout, row_count, kv_width);
    w.attended = rows_of(layout, row_count, q_width);
    w.cosines = layout.take<float>(row_count * (s.rope_width / 2));
    w.sines = layout.take<float>(row_count * (s.rope_width / 2));
    w.rows = layout.take<BatchRow>(row_count);
    w.caches = layout.take<CacheView>(kCachesMax);
    w.logit_rows = layout.take<uint32_t>(row_count);
    w.logits = layout.take<float>(std::min<uint64_t>(kLogitRowsMax, row_count) * s.vocabulary_size);
  }
  if (home) w.ffn_input = rows_of(layout, row_count, s.hidden_width);
  w.given = rows_of(layout, row_count, s.hidden_width);
  w.active = layout.take<uint32_t>(row_count * words);
  w.candidates = layout.take<uint32_t>(share_count_max);
  w.candidate_count = layout.take<uint32_t>(1);
  w.firing = layout.take<uint32_t>(share_count_max);
  w.firing_count = layout.take<uint32_t>(1);
  w.activation = layout.take<float>(row_count * row_stride(share_count_max));
  w.up = layout.take<float>(row_count * row_stride(share_count_max));
  w.part_rows = static_cast<uint32_t>(std::min<uint64_t>(kSparseRowsMax, row_count));
  w.parts = rows_of(layout, std::max<uint64_t>(uint64_t{kDownParts} * w.part_rows, row_count), s.hidden_width);
  w.partial = rows_of(layout, row_count, s.hidden_width);
  w.hidden_sequence = layout.take<uint32_t>(1);
  w.active_sequence = layout.take<uint32_t>(1);
  return w;
}

Exchange::Exchange(const powerinfer_model_shape& s, bool home) {
  const uint64_t row_count = s.row_count_max;
  const auto cut = [&](Layout& layout) {
    if (home) {
      rows = layout.take<BatchRow>(row_count);
      cosines = layout.take<float>(row_count * (s.rope_width / 2));
      sines = layout.take<float>(row_count * (s.rope_width / 2));
      logit_rows = layout.take<uint32_t>(row_count);
      caches = layout.take<CacheView>(kCachesMax);
      hidden_out = layout.take<float>(row_count * s.hidden_width);
      active_out = layout.take<uint32_t>(row_count * words_of(s));
      for (float*& slot : remote) slot = layout.take<float>(row_count * s.hidden_width);
    }
    hidden_arrived = layout.take<uint32_t>(1);
    active_arrived = layout.take<uint32_t>(1);
    hidden_in = layout.take<float>(row_count * s.hidden_width);
    active_in = layout.take<uint32_t>(row_count * words_of(s));
    partial_out = layout.take<float>(row_count * s.hidden_width);
  };
  Layout measured;
  cut(measured);
  memory = PinnedMemory(measured.size_bytes());
  Layout layout(memory.bytes());
  cut(layout);
  *hidden_arrived = 0;
  *active_arrived = 0;
}

}  // namespace powerinfer::cuda
