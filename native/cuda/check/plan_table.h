// Every plan for a model, run in turn.
#pragma once
#include "arguments.h"
#include "plan_run.h"

namespace powerinfer_check {

// What the programs of this folder are asked for (hybrid_bench.cc), opened.
struct Bench {
  const Arguments& arguments;
  const PlantedType& type;
  const PlantedModel& model;
  uint32_t cpu;
  uint32_t plugin;
  RunSettings settings;
};

PlanQuestion question_of(const Bench& bench, Selection selection, double budget_bytes);

// Runs what the options `budgets`, `policies`, `plan`, `selections` and `rounds` ask for, a round after the other. Returns whether every plan ran and agreed.
bool run_plans(const Bench& bench, Json& report);

}  // namespace powerinfer_check
