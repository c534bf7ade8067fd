// How fast is a plan, and does it say what the CPU alone says?
#pragma once
#include <string>
#include <vector>

#include "agreement.h"
#include "decode.h"
#include "json.h"

namespace powerinfer_check {

// One plan of the table, with what its runs have shown so far.
struct PlanRun {
  std::string policy;
  double budget_share;  // of the weights; 0: of all_cpu and all_gpu, which have none
  double budget_bytes;
  bool on_device;
  Plan plan;
  std::string refused;  // why there is no such plan
  std::string failed;   // what went wrong when it ran
  int same_as = -1;     // an earlier plan with the same neurons

  std::vector<double> token_s;
  BytesRead bytes;  // of a token
  Agreement agreement;
  Agreement without_cpu;  // a control: leaving out the CPU's share must show
  double cpu_ffn_s = NAN, device_memory_bytes = NAN;
  // Of the shorter of the two shares of FFNs, the part that was hidden behind the other: (CPU's share + token without it - token) / shorter share.
  double overlap = NAN;

  // More than rounding: by less than this, the comparison could not tell that the CPU's share were missing.
  bool control_shows() const { return without_cpu.logit_error > 1.2 * agreement.logit_error; }
  bool good() const { return failed.empty() && agreement.holds(); }
};

struct RunSettings {
  uint32_t plugin;
  uint32_t token_count, warm_up_count;
  double device_bytes_per_s, cpu_bytes_per_s;
};

// Runs the plan once: opens it, feeds it warm_up_count tokens of the reference, and times the next token_count. `first`: the overlap is measured too.
void run_plan(PlanRun& run, const CpuModel& cpu, const RunSettings& settings, const Reference& reference, bool first);

// What `runs[index]` has shown, and what it can be measured by.
Json row_of(const std::vector<PlanRun>& runs, size_t index, const CpuModel& cpu, const RunSettings& settings);

}  // namespace powerinfer_check
