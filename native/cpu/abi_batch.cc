// The ABI of a batch: embed, attend, ffn, merge, logits. What a kernel may rely on is checked here.
#include <algorithm>

#include "abi.h"
#include "forward.h"

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

void check_block(const Model& model, uint32_t block) {
  if (block >= model.shape.block_count) fail(POWERINFER_INVALID_ARGUMENT, "block is %u, the model has %u", block, model.shape.block_count);
}

void check_batch(const Model& model) {
  if (model.batch.row_count == 0) fail(POWERINFER_INVALID_ARGUMENT, "no batch was begun; call powerinfer_embed");
}

void check_row_count(const Model& model, uint32_t row_count) {
  if (row_count == 0 || row_count > model.shape.row_count_max) {
    fail(POWERINFER_INVALID_ARGUMENT, "%u rows were given; the model takes 1 to %u", row_count, model.shape.row_count_max);
  }
}

std::shared_ptr<Cache> cache_of_row(const Model& model, const powerinfer_row& row, uint32_t i) {
  std::shared_ptr<Cache> cache = caches().get(row.cache);
  if (cache->model_identity != model.identity) fail(POWERINFER_INVALID_ARGUMENT, "the cache of row %u belongs to another model", i);
  return cache;
}

void check_row(const Model& model, const powerinfer_row& row, const Cache& cache, uint32_t i) {
  if (row.token >= model.shape.vocabulary_size) {
    fail(POWERINFER_INVALID_ARGUMENT, "row %u has token %u, the vocabulary %u", i, row.token, model.shape.vocabulary_size);
  }
  if (row.position >= cache.position_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "row %u is at position %u, its cache has %u", i, row.position, cache.position_count);
  }
  const Matrix& learned = model.position_embedding;
  if (learned.bound() && uint64_t{row.position} + model.shape.position_offset >= learned.rows) {
    fail(POWERINFER_INVALID_ARGUMENT, "row %u is at position %u, the model learned %u from offset %u on",
         i, row.position, learned.rows, model.shape.position_offset);
  }
}

// Checks that no (cache, position) occurs twice and that no row looks beyond what its cache holds; `keys` are sorted (cache, position).
void check_positions(const std::vector<uint64_t>& keys, uint32_t row_count) {
  uint32_t reached = 0;  // positions of this cache that earlier batches and the rows so far fill
  for (uint32_t i = 0; i < row_count; ++i) {
    const uint32_t handle = static_cast<uint32_t>(keys[i] >> 32);
    const uint32_t position = static_cast<uint32_t>(keys[i]);
    const bool same_cache = i > 0 && keys[i - 1] >> 32 == handle;
    if (same_cache && keys[i - 1] == keys[i]) fail(POWERINFER_INVALID_ARGUMENT, "two rows are at position %u of cache %u", position, handle);
    if (!same_cache) reached = caches().get(handle)->filled_count;
    if (position > reached) {
      fail(POWERINFER_INVALID_ARGUMENT, "a row is at position %u of cache %u, but nothing was at position %u", position, handle, reached);
    }
    reached = std::max(reached, position + 1);
  }
}

// Takes the rows in as the model's batch. The model is unchanged if it fails.
void begin_batch(Model& model, const powerinfer_row* rows, uint32_t row_count) {
  Batch& batch = model.batch;
  for (uint32_t i = 0; i < row_count; ++i) {
    check_row(model, rows[i], *cache_of_row(model, rows[i], i), i);
    batch.keys[i] = uint64_t{rows[i].cache} << 32 | rows[i].position;
  }
  std::sort(batch.keys.begin(), batch.keys.begin() + row_count);
  check_positions(batch.keys, row_count);

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
  check_row_count(model, row_count);
  if (hidden != nullptr) return hidden;
  if (!model.batch.attended) fail(POWERINFER_INVALID_ARGUMENT, "hidden is NULL and no attend went before; give hidden or call powerinfer_attend");
  if (row_count != model.batch.row_count) {
    fail(POWERINFER_INVALID_ARGUMENT, "hidden is NULL and row_count is %u; the batch has %u", row_count, model.batch.row_count);
  }
  return model.workspace.ffn_input.get();
}

void check_active(const Model& model, const uint32_t* active, uint32_t row_count) {
  const uint32_t used_bits = model.shape.ffn_width % 32;
  if (active == nullptr || used_bits == 0) return;
  const uint64_t words = model.shape.ffn_width / 32 + 1;
  for (uint32_t row = 0; row < row_count; ++row) {
    if (active[row * words + words - 1] >> used_bits != 0) {
      fail(POWERINFER_INVALID_ARGUMENT, "active of row %u names a neuron at or above ffn_width %u", row, model.shape.ffn_width);
    }
  }
}

}  // namespace

powerinfer_status powerinfer_embed(uint32_t model, const powerinfer_row* rows, uint32_t row_count) {
  return on_model("embed", model, [&](Model& m) {
    required(rows, "rows");
    check_row_count(m, row_count);
    begin_batch(m, rows, row_count);
    embed(m);
  });
}

powerinfer_status powerinfer_attend(uint32_t model, uint32_t block, float* hidden) {
  return on_model("attend", model, [&](Model& m) {
    check_block(m, block);
    check_batch(m);
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

powerinfer_status powerinfer_ffn(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, const uint32_t* active, uint32_t flags,
                                 float* partial) {
  return on_model("run the FFN", model, [&](Model& m) {
    check_block(m, block);
    if ((flags & ~uint32_t{POWERINFER_FFN_CONFIRM}) != 0) {
      fail(POWERINFER_INVALID_ARGUMENT, "flags is %u; only POWERINFER_FFN_CONFIRM is known", flags);
    }
    const float* const input = input_of(m, hidden, row_count);
    check_active(m, active, row_count);
    const bool confirm = (flags & POWERINFER_FFN_CONFIRM) != 0;
    const bool sparse = confirm || active != nullptr;
    const Block& b = m.blocks[block];
    if (sparse && !b.down_by_neuron.bound() && !b.down_repacked.bound()) {
      fail(POWERINFER_INCOMPLETE, "blk.%u has down by rows only; a sparse run needs down_by_neuron or down_repacked", block);
    }
    // A partial that stays here is for this batch's rows.
    if (partial == nullptr && row_count != m.batch.row_count) {
      fail(POWERINFER_INVALID_ARGUMENT, "partial is NULL and row_count is %u; the batch has %u", row_count, m.batch.row_count);
    }

    const double bytes_before = m.counters.weight_bytes;
    (sparse ? ffn_sparse : ffn_dense)(m, block, {input, row_count, active, confirm, partial == nullptr ? m.workspace.partial.get() : partial});
    m.counters.ffn_bytes += m.counters.weight_bytes - bytes_before;
    m.counters.neuron_count += static_cast<double>(m.shape.ffn_width) * row_count;
    if (partial == nullptr) m.batch.partial_block = block;
  });
}

powerinfer_status powerinfer_merge(uint32_t model, uint32_t block, const float* partial) {
  return on_model("merge", model, [&](Model& m) {
    check_block(m, block);
    check_batch(m);
    if (partial != nullptr) return merge(m, partial, nullptr);
    if (m.batch.partial_block != block) {
      fail(POWERINFER_INVALID_ARGUMENT, "partial is NULL and none of blk.%u is kept; give one or call powerinfer_ffn", block);
    }
    merge(m, m.workspace.partial.get(), or_null(m.blocks[block].down_bias));
    m.batch.partial_block = Batch::kNone;
  });
}

powerinfer_status powerinfer_activations(uint32_t model, uint32_t block, const float* hidden, uint32_t row_count, float* activations) {
  return on_model("read the activations", model, [&](Model& m) {
    check_block(m, block);
    const float* const input = input_of(m, hidden, row_count);
    float& out = required(activations, "activations");
    const double bytes_before = m.counters.weight_bytes;
    activate_neurons(m, block, input, row_count, &out, nullptr);
    m.counters.ffn_bytes += m.counters.weight_bytes - bytes_before;
  });
}

powerinfer_status powerinfer_logits(uint32_t model, const uint32_t* rows, uint32_t count, float* out) {
  return on_model("make logits", model, [&](Model& m) {
    check_batch(m);
    required(rows, "rows");
    float& first = required(out, "logits");
    if (count == 0 || count > m.batch.row_count) {
      fail(POWERINFER_INVALID_ARGUMENT, "%u rows were asked for; the batch has %u", count, m.batch.row_count);
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (rows[i] >= m.batch.row_count) fail(POWERINFER_INVALID_ARGUMENT, "rows[%u] is %u, the batch has %u", i, rows[i], m.batch.row_count);
    }
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
