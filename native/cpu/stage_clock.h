// Where does the time of a batch go? To the stage that a boundary ends: wall time of the calling thread and bytes read since the last one.
#pragma once
#include <chrono>

#include "model.h"

namespace powerinfer {

// Begun with a call, told at each boundary what just ended. Reads the clock only while the model's profile runs.
class StageClock {
 public:
  StageClock(Model& model, uint32_t row_count)
      : model_(model), stages_(model.profile.stages[row_count == 1 ? POWERINFER_PHASE_DECODE : POWERINFER_PHASE_PREFILL]) {
    if (model_.profile.running) begin();
  }

  // Charges what happened since the last boundary to `stage`, POWERINFER_STAGE_x.
  void charge(uint32_t stage) {
    if (!model_.profile.running) return;
    const Instant began = began_;
    const double bytes_before = bytes_;
    begin();
    StageTotals& totals = stages_[stage];
    totals.call_count += 1;
    totals.seconds += std::chrono::duration<double>(began_ - began).count();
    totals.bytes += bytes_ - bytes_before;
  }

 private:
  using Instant = std::chrono::steady_clock::time_point;

  void begin() {
    began_ = std::chrono::steady_clock::now();
    bytes_ = model_.counters.weight_bytes + model_.counters.cache_bytes;
  }

  Model& model_;
  StageTotals* const stages_;
  Instant began_{};
  double bytes_ = 0;
};

}  // namespace powerinfer
