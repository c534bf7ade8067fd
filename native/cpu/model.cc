// When is a model complete, and how much room does a batch of it need?
#include "model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "error.h"
#include "limits.h"
#include "machine.h"

namespace powerinfer {
namespace {

void check_range(const char* name, uint32_t value, uint32_t min, uint32_t max) {
  if (value < min || value > max) fail(POWERINFER_INVALID_ARGUMENT, "%s is %u; it must be from %u to %u", name, value, min, max);
}

}  // namespace

powerinfer_model_shape checked_shape(const powerinfer_model_shape& s) {
  check_range("block_count", s.block_count, 1, kBlockCountMax);
  check_range("hidden_width", s.hidden_width, 1, kWidthMax);
  check_range("ffn_width", s.ffn_width, 1, kWidthMax);
  check_range("head_width", s.head_width, 1, kWidthMax);
  check_range("head_count", s.head_count, 1, kWidthMax / s.head_width);
  check_range("kv_head_count", s.kv_head_count, 1, s.head_count);
  check_range("vocabulary_size", s.vocabulary_size, 1, kVocabularySizeMax);
  check_range("norm", s.norm, 0, POWERINFER_NORM_LAYER);
  check_range("rope", s.rope, 0, POWERINFER_ROPE_HALVES);
  check_range("rope_width", s.rope_width, s.rope == POWERINFER_ROPE_NONE ? 0 : 2, s.rope == POWERINFER_ROPE_NONE ? 0 : s.head_width);
  check_range("parallel", s.parallel, 0, 1);
  check_range("gated", s.gated, 0, 1);
  check_range("gate_activation", s.gate_activation, 0, s.gated ? POWERINFER_ACTIVATION_GELU : POWERINFER_ACTIVATION_IDENTITY);
  check_range("up_activation", s.up_activation, 0, POWERINFER_ACTIVATION_GELU);
  check_range("position_offset", s.position_offset, 0, kPositionCountMax);
  check_range("row_count_max", s.row_count_max, 1, kRowCountMax);
  if (s.head_count % s.kv_head_count != 0) {
    fail(POWERINFER_INVALID_ARGUMENT, "kv_head_count %u does not divide head_count %u", s.kv_head_count, s.head_count);
  }
  if (uint64_t{s.row_count_max} * s.head_count > UINT32_MAX) {
    fail(POWERINFER_INVALID_ARGUMENT, "row_count_max %u and head_count %u are too many heads for one batch", s.row_count_max, s.head_count);
  }
  if (s.rope_width % 2 != 0) fail(POWERINFER_INVALID_ARGUMENT, "rope_width is %u; it must be even", s.rope_width);
  if (!(std::isfinite(s.norm_epsilon) && s.norm_epsilon >= 0)) {
    fail(POWERINFER_INVALID_ARGUMENT, "norm_epsilon is %g; it must be finite and not negative", static_cast<double>(s.norm_epsilon));
  }
  return s;
}

namespace {

uint64_t next_identity() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

uint64_t workspace_bytes(const Model& model) {
  const powerinfer_model_shape& s = model.shape;
  const uint64_t floats =
      (s.parallel ? 6 : 5) * uint64_t{s.hidden_width} + 2 * uint64_t{model.q_width()} + 2 * uint64_t{model.kv_width()} + s.rope_width + 2 * uint64_t{s.ffn_width};
  const uint64_t coded = std::max<uint64_t>(s.hidden_width, model.q_width()) + s.ffn_width;
  const uint64_t attention = uint64_t{model.cpu->pool.thread_count()} * queries_of_block(s) * (kSpanPositions + 2 * (s.head_width + 2));
  return s.row_count_max * (floats * sizeof(float) + coded * 27 / 8) + uint64_t{s.ffn_width} * 9 + s.row_count_max * (uint64_t{s.ffn_width} / 8 + 4) + attention * sizeof(float);
}

Workspace make_workspace(const Model& model) {
  const powerinfer_model_shape& s = model.shape;
  const uint64_t rows = s.row_count_max;
  Workspace w;
  w.residual = Buffer<float>(rows * s.hidden_width);
  if (s.parallel) w.block_input = Buffer<float>(rows * s.hidden_width);
  w.normed = Buffer<float>(rows * s.hidden_width);
  w.ffn_input = Buffer<float>(rows * s.hidden_width);
  w.q = Buffer<float>(rows * model.q_width());
  w.k = Buffer<float>(rows * model.kv_width());
  w.v = Buffer<float>(rows * model.kv_width());
  w.attended = Buffer<float>(rows * model.q_width());
  const uint64_t thread_queries = uint64_t{model.cpu->pool.thread_count()} * queries_of_block(s);
  w.row_blocks = Buffer<RowBlock>(rows);
  w.scores = Buffer<float>(thread_queries * kSpanPositions);
  w.thread_sums = SpanSums(thread_queries * 2, s.head_width);
  w.projected = Buffer<float>(rows * s.hidden_width);
  w.cosines = Buffer<float>(rows * (s.rope_width / 2));
  w.sines = Buffer<float>(rows * (s.rope_width / 2));
  w.gated = Buffer<float>(rows * s.ffn_width);
  w.activation = Buffer<float>(rows * s.ffn_width);
  w.partial = Buffer<float>(rows * s.hidden_width);
  w.input_codes = make_codes(rows, std::max(s.hidden_width, model.q_width()));
  w.activation_codes = make_codes(rows, s.ffn_width);
  w.found_neurons = Buffer<uint32_t>(s.ffn_width);
  w.neurons = Buffer<uint32_t>(s.ffn_width);
  w.active = Buffer<uint32_t>(rows * words_of(s));
  w.sparse_chunks = Buffer<SparseChunk>(s.ffn_width / 64 + 1);
  return w;
}

// Collects what is missing, and names the first.
class Missing {
 public:
  void need(bool there, uint32_t role, uint32_t block) {
    if (!there && count_++ == 0) describe_tensor(role, block, first_, sizeof first_);
  }
  void refuse_if_any() const {
    if (count_ == 1) fail(POWERINFER_INCOMPLETE, "%s is not bound", first_);
    if (count_ > 1) fail(POWERINFER_INCOMPLETE, "%s and %u more tensors are not bound", first_, count_ - 1);
  }

 private:
  uint32_t count_ = 0;
  char first_[64];
};

}  // namespace

Model::Model(std::shared_ptr<Cpu> on, const powerinfer_model_shape& given)
    : cpu(std::move(on)), shape(checked_shape(given)), identity(next_identity()), blocks(shape.block_count) {
  batch.rows.resize(shape.row_count_max);
  batch.caches.resize(shape.row_count_max);
  batch.held.resize(shape.row_count_max);
  batch.keys.resize(shape.row_count_max);
  ++cpu->model_count;
}

Model::~Model() { --cpu->model_count; }

void check_rope(const powerinfer_model_shape& s, const float* inverse_frequencies, uint32_t count) {
  if (count == 0 || count != s.rope_width / 2) {
    fail(POWERINFER_INVALID_ARGUMENT, "%u frequencies were given, rope_width %u needs %u", count, s.rope_width, s.rope_width / 2);
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (!std::isfinite(inverse_frequencies[i])) fail(POWERINFER_INVALID_ARGUMENT, "frequency %u is not finite", i);
  }
}

void set_rope(Model& model, const float* inverse_frequencies, uint32_t count) {
  check_rope(model.shape, inverse_frequencies, count);
  model.inverse_frequencies.assign(inverse_frequencies, inverse_frequencies + count);
}

void make_ready(Model& model) {
  Missing missing;
  missing.need(model.token_embedding.bound(), POWERINFER_TOKEN_EMBEDDING, 0);
  missing.need(!model.output_norm.empty(), POWERINFER_OUTPUT_NORM, 0);
  missing.need(model.output.bound(), POWERINFER_OUTPUT, 0);
  missing.need(model.shape.rope == POWERINFER_ROPE_NONE || !model.inverse_frequencies.empty(), POWERINFER_ROPE_FREQUENCIES, 0);
  for (uint32_t i = 0; i < model.shape.block_count; ++i) {
    const Block& block = model.blocks[i];
    missing.need(!block.attention_norm.empty(), POWERINFER_ATTENTION_NORM, i);
    missing.need(block.q.bound(), POWERINFER_Q, i);
    missing.need(block.k.bound(), POWERINFER_K, i);
    missing.need(block.v.bound(), POWERINFER_V, i);
    missing.need(block.attention_output.bound(), POWERINFER_ATTENTION_OUTPUT, i);
    missing.need(!block.ffn_norm.empty(), POWERINFER_FFN_NORM, i);
    missing.need(!model.shape.gated || block.gate.bound(), POWERINFER_GATE, i);
    missing.need(block.up.bound(), POWERINFER_UP, i);
    missing.need(block.down.bound() || block.down_by_neuron.bound() || block.down_repacked.bound(), POWERINFER_DOWN, i);
  }
  missing.refuse_if_any();
  if (model.ready) return;
  require_memory(workspace_bytes(model), "the workspace");
  model.workspace = make_workspace(model);
  model.ready = true;
}

void reserve_spans(Model& model, uint32_t position_count) {
  const uint32_t span_count = (position_count - 1) / kSpanPositions + 1;
  if (span_count <= model.piece_spans) return;
  const powerinfer_model_shape& s = model.shape;
  const uint64_t query_count = uint64_t{std::min(s.row_count_max, kCutRowCountMax)} * s.head_count * span_count;
  require_memory(query_count * (s.head_width + 2) * sizeof(float), "the scratch of attention");
  model.piece_sums = SpanSums(query_count, s.head_width);
  model.piece_spans = span_count;
}

}  // namespace powerinfer
