// What does a row take from the positions before it? Norm, q k v, rope, cache, attention, output, residual, FFN norm.
#include <cstring>

#include "../quant/q8_0.h"
#include "forward.h"
#include "multiply.h"
#include "stage_clock.h"

namespace powerinfer {
namespace {

// Rotates the leading rope_width dimensions of a head in place. `cosines`, `sines` f32[rope_width / 2].
void rotate(float* head, uint32_t rope, uint32_t rope_width, const float* cosines, const float* sines) {
  const uint32_t pair_count = rope_width / 2;
  const uint32_t step = rope == POWERINFER_ROPE_INTERLEAVED ? 2 : 1;                  // from one pair to the next
  const uint32_t reach = rope == POWERINFER_ROPE_INTERLEAVED ? 1 : pair_count;        // from a pair's first to its second
  for (uint32_t i = 0; i < pair_count; ++i) {
    float& a = head[i * step];
    float& b = head[i * step + reach];
    const float rotated = a * cosines[i] - b * sines[i];
    b = a * sines[i] + b * cosines[i];
    a = rotated;
  }
}

// Norm (where the model has one) and rope of every head of q or k of one row.
void finish_heads(const Model& model, float* heads, uint32_t head_count, const Vector& norm, uint32_t row) {
  const powerinfer_model_shape& s = model.shape;
  const uint64_t angles = uint64_t{row} * (s.rope_width / 2);
  for (uint32_t h = 0; h < head_count; ++h) {
    float* const head = heads + uint64_t{h} * s.head_width;
    if (!norm.empty()) model.cpu->kernels.rms_norm(head, norm.data(), nullptr, s.norm_epsilon, s.head_width, head);
    if (s.rope != POWERINFER_ROPE_NONE) rotate(head, s.rope, s.rope_width, &model.workspace.cosines[angles], &model.workspace.sines[angles]);
  }
}

// f32[width] as Q8_0 blocks, `width` a multiple of 32.
void store_blocks(const Kernels& kernels, const float* vector, uint32_t width, uint8_t* to) {
  for (uint32_t i = 0; i < width; i += BlockQ8_0::kWeights, to += sizeof(BlockQ8_0)) {
    BlockQ8_0 block;
    float scale;
    int16_t sums[2];
    kernels.quantize_bytes(vector + i, BlockQ8_0::kWeights, 1, block.codes, &scale, sums);
    block.d = f16_from_float(scale);
    std::memcpy(to, &block, sizeof block);
  }
}

// Copies one position's f32[head_width] into the cache.
void store(const Kernels& kernels, const Cache& cache, const float* vector, uint32_t head_width, uint8_t* to) {
  switch (cache.type) {
    case POWERINFER_CACHE_F16: return kernels.convert_to_f16(vector, reinterpret_cast<uint16_t*>(to), head_width);
    case POWERINFER_CACHE_F32: std::memcpy(to, vector, uint64_t{head_width} * sizeof(float)); return;
    case POWERINFER_CACHE_Q8_0: return store_blocks(kernels, vector, head_width, to);
  }
}

}  // namespace

void attend(Model& model, uint32_t block_index, float* hidden) {
  Cpu& cpu = *model.cpu;
  const Kernels& kernels = cpu.kernels;
  const powerinfer_model_shape& s = model.shape;
  const Block& b = model.blocks[block_index];
  const Workspace& w = model.workspace;
  const std::vector<std::shared_ptr<Cache>>& caches = model.batch.held;
  const uint32_t row_count = model.batch.row_count;
  const uint32_t q_width = model.q_width();
  const uint32_t kv_width = model.kv_width();
  StageClock clock(model, row_count);

  // The input of attention; a parallel FFN reads the same residual, so its norm is taken before attention changes it.
  const Forms qkv_forms(kernels, {&b.q, &b.k, &b.v});
  for_each_row(cpu, row_count, [&](uint32_t row) {
    const uint64_t at = uint64_t{row} * s.hidden_width;
    norm_row(model, &w.residual[at], b.attention_norm, b.attention_norm_bias, &w.normed[at]);
    if (s.parallel) {
      norm_row(model, &w.residual[at], b.ffn_norm, b.ffn_norm_bias, &w.ffn_input[at]);
      std::memcpy(&w.block_input[at], &w.residual[at], uint64_t{s.hidden_width} * sizeof(float));
    }
    quantize(kernels, qkv_forms, w.input_codes, &w.normed[at], row, row_count, 0, s.hidden_width);
  });
  clock.charge(POWERINFER_STAGE_NORM);

  // q, k and v in one loop.
  const Matrix* const weights[] = {&b.q, &b.k, &b.v};
  const float* const biases[] = {or_null(b.q_bias), or_null(b.k_bias), or_null(b.v_bias)};
  float* const outputs[] = {w.q.get(), w.k.get(), w.v.get()};
  const Rows x = rows_of(w.normed.get(), s.hidden_width, row_count, s.hidden_width, w.input_codes);
  for_each_row_chunk(cpu, {&b.q, &b.k, &b.v}, [&](uint32_t i, uint32_t first, uint32_t count) {
    const uint32_t width = weights[i]->rows;
    multiply(kernels, *weights[i], nullptr, first, count, x, outputs[i], width);
    for (uint32_t row = 0; row < row_count; ++row) add_bias(biases[i], first, first + count, outputs[i] + uint64_t{row} * width);
  });
  for (const Matrix* matrix : weights) count_weights(model.counters, *matrix, matrix->rows);
  clock.charge(POWERINFER_STAGE_QKV);

  // Every row's keys and values are in the cache before any row attends: rows of one batch see each other.
  for_each_row(cpu, row_count, [&](uint32_t row) {
    float* const k = &w.k[uint64_t{row} * kv_width];
    const float* const v = &w.v[uint64_t{row} * kv_width];
    finish_heads(model, &w.q[uint64_t{row} * q_width], s.head_count, b.q_norm, row);
    finish_heads(model, k, s.kv_head_count, b.k_norm, row);
    const Cache& cache = *caches[row];
    for (uint32_t head = 0; head < s.kv_head_count; ++head) {
      const uint32_t position = model.batch.rows[row].position;
      store(kernels, cache, k + uint64_t{head} * s.head_width, s.head_width, cache.key(block_index, head, position));
      store(kernels, cache, v + uint64_t{head} * s.head_width, s.head_width, cache.value(block_index, head, position));
    }
  });
  clock.charge(POWERINFER_STAGE_ROPE);

  attend_cache(model, block_index);
  for (uint32_t row = 0; row < row_count; ++row) {
    model.counters.cache_bytes += 2.0 * s.kv_head_count * caches[row]->position_bytes() * (model.batch.rows[row].position + 1.0);
  }
  clock.charge(POWERINFER_STAGE_ATTENTION);

  // The output matrix, added to the residual by the chunk that made it.
  if (const Forms forms(kernels, {&b.attention_output}); forms.any()) {
    for_each_row(cpu, row_count, [&](uint32_t row) {
      quantize(kernels, forms, w.input_codes, &w.attended[uint64_t{row} * q_width], row, row_count, 0, q_width);
    });
  }
  clock.charge(POWERINFER_STAGE_NORM);
  const Rows attended = rows_of(w.attended.get(), q_width, row_count, q_width, w.input_codes);
  for_each_row_chunk(cpu, {&b.attention_output}, [&](uint32_t, uint32_t first, uint32_t count) {
    multiply(kernels, b.attention_output, nullptr, first, count, attended, w.projected.get(), s.hidden_width);
    for (uint32_t row = 0; row < row_count; ++row) {
      const uint64_t at = uint64_t{row} * s.hidden_width;
      for (uint32_t i = first; i < first + count; ++i) w.residual[at + i] += w.projected[at + i];
      add_bias(or_null(b.attention_output_bias), first, first + count, &w.residual[at]);
    }
  });
  count_weights(model.counters, b.attention_output, b.attention_output.rows);
  clock.charge(POWERINFER_STAGE_ATTENTION_OUTPUT);

  for_each_row(cpu, row_count, [&](uint32_t row) {
    const uint64_t at = uint64_t{row} * s.hidden_width;
    if (!s.parallel) norm_row(model, &w.residual[at], b.ffn_norm, b.ffn_norm_bias, &w.ffn_input[at]);
    if (hidden != nullptr) std::memcpy(hidden + at, &w.ffn_input[at], uint64_t{s.hidden_width} * sizeof(float));
  });
  clock.charge(POWERINFER_STAGE_NORM);
}

}  // namespace powerinfer
