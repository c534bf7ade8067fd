// The ABI of a batch: embed, attend, ffn, merge, logits. What a kernel may rely on is checked here.
#include <algorithm>

#include "../plugin/abi_plugin.h"
#include "abi.h"
#include "batch_checks.h"
#include "forward.h"
#include "stage_clock.h"

using namespace powerinfer;

namespace {

// Runs body(model) with the model's CPU locked, once its handle is good and it is ready.
template <class Body>
powerinfer_status on_model(const char* action, uint32_t handle, Body&& body) {
  return guarded(action, [&] {
    const std::shared_ptr<Model> model = models().get(handle);
    const std::lock_guard<std::mutex> lock(model->cpu->busy);
    if (!model->ready) fail(POWERINFER_INCOMPLETE, "the model is not ready; bind its tensors and call powerinfer_model_ready");
    body(*model);
  });
}

std::shared_ptr<Cache> cache_of_row(const Model& model, const powerinfer_row& row, uint32_t i) {
  std::shared_ptr<Cache> cache = caches().get(row.cache);
  if (cache->model_identity != model.identity) fail(POWERINFER_INVALID_ARGUMENT, "the cache of row %u belongs to another model", i);
  return cache;
}

void check_learned(const Model& model, const powerinfer_row& row, uint32_t i) {
  const Matrix& learned = model.position_embedding;
  if (learned.bound() && uint64_t{row.position} + model.shape.position_offset >= learned.rows) {
    fail(POWERINFER_INVALID_ARGUMENT, "row %u is at position %u, the model learned %u from offset %u on",
         i, row.position, learned.rows, model.shape.position_offset);
  }
}

// Takes the rows in as the model's batch. The model is unchanged if it fails.
void begin_batch(Model& model, const powerinfer_row* rows, uint32_t row_count) {
  Batch& batch = model.batch;
  for (uint32_t i = 0; i < row_count; ++i) {
    check_row(model.shape, rows[i], cache_of_row(model, rows[i], i)->position_count, i);
    check_learned(model, rows[i], i);
    batch.keys[i] = position_key(rows[i]);
  }
  check_positions(batch.keys.data(), row_count, [](uint32_t cache) { return caches().get(cache)->filled_count; });

  for (uint32_t i = 0; i < row_count; ++i) {
    const std::shared_ptr<Cache> cache = caches().get(rows[i].cache);
    cache->filled_count = std::max(cache->filled_count, rows[i].position + 1);
    batch.rows[i] = rows[i];
    batch.caches[i] = cache;
  }
  batch.row_count = row_count;
  batch.attended = false;
  batch.partial_block = Batch::kNone;
}

// The FFN's input: the caller's, or what attend left.
const float* input_of(const Model& model, const float* hidden, uint32_t row_count) {
  check_input(model.shape, model.batch, hidden, row_count);
  return hidden == nullptr ? model.workspace.ffn_input.get() : hidden;
}

void check_flags(uint32_t flags) {
  if ((flags & ~uint32_t{POWERINFER_FFN_CONFIRM}) != 0) {
    fail(POWERINFER_INVALID_ARGUMENT, "flags is %u; only POWERINFER_FFN_CONFIRM is known", flags);
  }
}

void check_sparse(const Block& b, uint32_t block) {
  if (!b.down_by_neuron.bound() && !b.down_repacked.bound()) {
    fail(POWERINFER_INCOMPLETE, "blk.%u has down by rows only; a sparse run needs down_by_neuron or down_repacked", block);
  }
}

// Runs the FFN with arguments that were checked; a null partial stays in the workspace.
void run_ffn(Model& m, uint32_t block, const float* input, uint32_t row_count, const uint32_t* active, uint32_t flags, float* partial) {
  const bool confirm = (flags & POWERINFER_FFN_CONFIRM) != 0;
  const bool sparse = confirm || active != nullptr;
  const double bytes_before = m.counters.weight_bytes;
  (sparse ? ffn_sparse : ffn_dense)(m, block, {input, row_count, active, confirm, partial == nullptr ? m.workspace.partial.get() : partial});
  m.counters.ffn_bytes += m.counters.weight_bytes - bytes_before;
  m.counters.neuron_count += static_cast<double>(m.shape.ffn_width) * row_count;
  if (partial == nullptr) m.batch.partial_block = block;
}

}  // namespace

powerinfer_status powerinfer_embed(uint32_t model, const powerinfer_row* rows, uint32_t row_count) {
  return on_model("embed", model, [&](Model& m) {
    required(rows, "rows");
    check_row_count(m.shape, row_count);
    begin_batch(m, rows, row_count);
    embed(m);
  });
}

powerinfer_status powerinfer_attend(uint32_t model, uint32_t block, float* hidden) {
  return on_model("attend", model, [&](Model& m) {
    check_block(m.shape, block);
    check_begun(m.batch);
    Batch& batch = m.batch;
    // Held for this call: the caller may have closed one since embed.
    for (uint32_t i = 0; i < batch.row_count; ++i) {
      batch.held[i] = batch.caches[i].lock();
      if (batch.held[i] != nullptr) continue;
      std::fill(batch.held.begin(), batch.held.begin() + i, nullptr);
      fail(POWERINFER_INVALID_HANDLE, "the cache of row %u was closed during the batch", i);
    }
    attend(m, block, hidden);
    std::fill(batch.held.begin(), batch.held.begin() + batch.row_count, nullptr);
    batch.attended = true;
  });
}

powerinfer_status powerinfer_residual(uint32_t model, float* residual) {
  return on_model("read the residual", model, [&](Model& m) {
    float& out = required(residual, "residual");
    if (!m.batch.attended) fail(POWERINFER_INVALID_ARGUMENT, "no attend went before; call powerinfer_attend");
    std::copy_n(ffn_residual(m), uint64_t{m.batch.row_count} * m.shape.hidden_width, &out);
  });
}

powerinfer_status powerinfer_ffn(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, const uint32_t* active, uint32_t flags,
                                 float* partial) {
  return on_model("run the FFN", model, [&](Model& m) {
    check_block(m.shape, block);
    check_flags(flags);
    const float* const input = input_of(m, hidden, row_count);
    check_active(m.shape, active, row_count);
    if (active != nullptr || flags != 0) check_sparse(m.blocks[block], block);
    check_partial(m.batch, partial, row_count);
    run_ffn(m, block, input, row_count, active, flags, partial);
  });
}

powerinfer_status powerinfer_ffn_selected(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, uint32_t predictor, uint32_t flags,
                                          float* partial) {
  return on_model("run the FFN", model, [&](Model& m) {
    const std::shared_ptr<Predictor> p = predictors().get(predictor);
    const std::lock_guard<std::mutex> lock(p->busy);
    check_block(m.shape, block);
    check_flags(flags);
    const float* const input = input_of(m, hidden, row_count);
    check_predicts(*p, m.shape);
    check_select(*p, block, row_count);
    check_sparse(m.blocks[block], block);
    check_partial(m.batch, partial, row_count);
    StageClock clock(m, row_count);
    select(*p, &m.cpu->pool, block, {input, hidden == nullptr ? ffn_residual(m) : nullptr, row_count}, m.workspace.active.get());
    clock.charge(POWERINFER_STAGE_SELECT);
    run_ffn(m, block, input, row_count, m.workspace.active.get(), flags, partial);
  });
}

powerinfer_status powerinfer_merge(uint32_t model, uint32_t block, const float* partial) {
  return on_model("merge", model, [&](Model& m) {
    check_block(m.shape, block);
    check_begun(m.batch);
    if (partial != nullptr) return merge(m, partial, nullptr);
    check_kept(m.batch, block);
    merge(m, m.workspace.partial.get(), or_null(m.blocks[block].down_bias));
    m.batch.partial_block = Batch::kNone;
  });
}

powerinfer_status powerinfer_activations(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, float* activations) {
  return on_model("read the activations", model, [&](Model& m) {
    check_block(m.shape, block);
    const float* const input = input_of(m, hidden, row_count);
    float& out = required(activations, "activations");
    const double bytes_before = m.counters.weight_bytes;
    activate_neurons(m, block, input, row_count, &out, nullptr);
    m.counters.ffn_bytes += m.counters.weight_bytes - bytes_before;
  });
}

powerinfer_status powerinfer_logits(uint32_t model, const uint32_t* rows, uint32_t count, float* out) {
  return on_model("make logits", model, [&](Model& m) {
    check_begun(m.batch);
    required(rows, "rows");
    float& first = required(out, "logits");
    check_logit_rows(m.batch, rows, count);
    logits(m, rows, count, &first);
  });
}

powerinfer_status powerinfer_counters_read(uint32_t model, powerinfer_counters* counters) {
  return guarded("read the counters", [&] {
    const std::shared_ptr<Model> m = models().get(model);
    powerinfer_counters& out = required_struct(counters, "counters");
    const std::lock_guard<std::mutex> lock(m->cpu->busy);
    const Counters& c = m->counters;
    out = {sizeof out, 0, c.row_count, c.weight_bytes, c.ffn_bytes, c.cache_bytes, c.neuron_count, c.neuron_computed_count};
  });
}

powerinfer_status powerinfer_profile_start(uint32_t model) {
  return guarded("start the profile", [&] {
    const std::shared_ptr<Model> m = models().get(model);
    const std::lock_guard<std::mutex> lock(m->cpu->busy);
    m->profile = Profile{};
    m->profile.running = true;
  });
}

powerinfer_status powerinfer_profile_read(uint32_t model, uint32_t phase, uint32_t stage, powerinfer_stage* totals) {
  return guarded("read the profile", [&] {
    const std::shared_ptr<Model> m = models().get(model);
    if (phase >= POWERINFER_PHASE_COUNT) fail(POWERINFER_INVALID_ARGUMENT, "phase is %u; there are %d", phase, POWERINFER_PHASE_COUNT);
    if (stage >= POWERINFER_STAGE_COUNT) fail(POWERINFER_INVALID_ARGUMENT, "stage is %u; there are %d", stage, POWERINFER_STAGE_COUNT);
    powerinfer_stage& out = required_struct(totals, "totals");
    const std::lock_guard<std::mutex> lock(m->cpu->busy);
    const StageTotals& t = m->profile.stages[phase][stage];
    out = {sizeof out, 0, t.call_count, t.seconds, t.bytes};
  });
}
