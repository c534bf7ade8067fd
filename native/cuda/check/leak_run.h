// Does decoding for long take ever more memory?
#pragma once
#include "decode.h"
#include "json.h"

namespace powerinfer_check {

struct LeakRun {
  double token_count, position_count;
  double device_growth_bytes, host_growth_bytes;
  bool passes;

  Json json() const;
};

// Decodes token_count tokens with half of the neurons on the device, in sequences of `position_count`, each in a cache of its own, and compares what is taken
// after the first two sequences with what is taken in the end.
LeakRun run_for_leaks(const CpuModel& cpu, uint32_t plugin, const Plan& plan, uint32_t token_count, uint32_t position_count);

}  // namespace powerinfer_check
