// Goal: a profile accounts for every call and every byte of the batches since it was started, and for no more time than passed.
// Method: batches of one and of several rows on a tiny model, against the counters and against counting stages by hand.
#include <chrono>

#include "tiny_model.h"

namespace powerinfer_test {
namespace {

TinyOptions profiled_options() {
  TinyOptions o{};
  o.shape = small_shape();
  o.shape.gate_activation = POWERINFER_ACTIVATION_RELU;
  o.matrix_type = 0;
  o.down_repacked = true;
  return o;
}

powerinfer_stage stage_of(const OpenModel& open, uint32_t phase, uint32_t stage) {
  powerinfer_stage totals{};
  totals.struct_size = sizeof totals;
  CHECK_OK(powerinfer_profile_read(open.model, phase, stage, &totals));
  return totals;
}

powerinfer_stage sum_of(const OpenModel& open, uint32_t phase) {
  powerinfer_stage sum{};
  for (uint32_t stage = 0; stage < POWERINFER_STAGE_COUNT; ++stage) {
    const powerinfer_stage totals = stage_of(open, phase, stage);
    sum.call_count += totals.call_count;
    sum.seconds += totals.seconds;
    sum.bytes += totals.bytes;
  }
  return sum;
}

double bytes_of(const powerinfer_counters& counters) { return counters.weight_bytes + counters.cache_bytes; }

TEST("powerinfer_profile_read: every byte and stage of a phase, dense and sparse, in less time than passed (seed 41)") {
  const TinyModel tiny(profiled_options(), 41);
  const OpenModel open(tiny, 2, 0);
  const double blocks = tiny.options.shape.block_count;
  for (const uint32_t flags : {0u, uint32_t{POWERINFER_FFN_CONFIRM}}) {
    for (const uint32_t rows : {1u, 3u}) {
      const uint32_t phase = rows == 1 ? POWERINFER_PHASE_DECODE : POWERINFER_PHASE_PREFILL;
      note(std::to_string(rows) + " rows, flags " + std::to_string(flags));
      const double bytes_before = bytes_of(open.counters());
      CHECK_OK(powerinfer_profile_start(open.model));
      const auto begin = std::chrono::steady_clock::now();
      open.prefill({1, 2, 3, 4, 5, 6}, rows, POWERINFER_CACHE_F16, flags);
      const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

      const double batches = 6.0 / rows;
      CHECK_EQUAL(stage_of(open, phase, POWERINFER_STAGE_EMBED).call_count, batches);
      CHECK_EQUAL(stage_of(open, phase, POWERINFER_STAGE_LOGITS).call_count, batches);
      for (const uint32_t stage : {POWERINFER_STAGE_QKV, POWERINFER_STAGE_ROPE, POWERINFER_STAGE_ATTENTION, POWERINFER_STAGE_ATTENTION_OUTPUT,
                                   POWERINFER_STAGE_GATE_UP, POWERINFER_STAGE_DOWN, POWERINFER_STAGE_MERGE}) {
        CHECK_EQUAL(stage_of(open, phase, stage).call_count, batches * blocks);
      }
      for (const uint32_t stage : {POWERINFER_STAGE_QKV, POWERINFER_STAGE_ATTENTION, POWERINFER_STAGE_GATE_UP, POWERINFER_STAGE_DOWN}) {
        CHECK(stage_of(open, phase, stage).seconds > 0);
        CHECK(stage_of(open, phase, stage).bytes > 0);
      }
      CHECK_EQUAL(sum_of(open, phase).bytes, bytes_of(open.counters()) - bytes_before);
      CHECK(sum_of(open, phase).seconds <= passed);
      CHECK_EQUAL(sum_of(open, 1 - phase).call_count, 0.0);
    }
  }
}

TEST("powerinfer_profile_read: nothing without a start, nothing from before it; unknown phases and stages are refused (seed 42)") {
  const TinyModel tiny(profiled_options(), 42);
  const OpenModel open(tiny, 1, 0);
  open.prefill({1, 2, 3}, 1, POWERINFER_CACHE_F32);
  CHECK_EQUAL(sum_of(open, POWERINFER_PHASE_DECODE).call_count, 0.0);
  CHECK_OK(powerinfer_profile_start(open.model));
  open.prefill({1, 2, 3}, 1, POWERINFER_CACHE_F32);
  CHECK(sum_of(open, POWERINFER_PHASE_DECODE).call_count > 0);
  CHECK_OK(powerinfer_profile_start(open.model));
  CHECK_EQUAL(sum_of(open, POWERINFER_PHASE_DECODE).call_count, 0.0);

  powerinfer_stage totals{};
  CHECK_EQUAL(powerinfer_profile_read(open.model, 0, 0, &totals), POWERINFER_INVALID_ARGUMENT);  // struct_size
  totals.struct_size = sizeof totals;
  CHECK_EQUAL(powerinfer_profile_read(open.model, 0, 0, nullptr), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(powerinfer_profile_read(open.model, POWERINFER_PHASE_COUNT, 0, &totals), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(powerinfer_profile_read(open.model, 0, POWERINFER_STAGE_COUNT, &totals), POWERINFER_INVALID_ARGUMENT);
  CHECK_EQUAL(powerinfer_profile_read(~0u, 0, 0, &totals), POWERINFER_INVALID_HANDLE);
  CHECK_EQUAL(powerinfer_profile_start(~0u), POWERINFER_INVALID_HANDLE);
}

}  // namespace
}  // namespace powerinfer_test
