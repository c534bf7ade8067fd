// Every plan for a model, run in turn.
#include "plan_table.h"

#include <cstdio>

namespace powerinfer_check {
namespace {

// The CPU's greedy continuation, which every plan is then fed.
Reference reference_of(const CpuModel& exact, uint32_t count) {
  const std::unique_ptr<Decoder> decoder = decode_on_cpu(exact);
  decoder->restart(count);
  Reference reference{{1}, {}};
  std::vector<float> logits(exact.planted.shape.vocabulary_size);
  for (uint32_t step = 0; step < count; ++step) {
    decoder->step(reference.tokens.back(), step, logits.data());
    reference.logits.push_back(logits);
    reference.tokens.push_back(most_likely(logits));
  }
  return reference;
}

PlanRun asked_for(const std::string& policy, double budget_share, double budget_bytes, double tolerance, bool on_device) {
  PlanRun run;
  run.agreement.tolerance = tolerance;
  run.policy = policy;
  run.budget_share = budget_share;
  run.budget_bytes = budget_bytes;
  run.on_device = on_device;
  return run;
}

std::vector<PlanRun> plans_of(const Bench& bench, Selection selection) {
  const double all_bytes = static_cast<double>(bench.model.size_bytes()), tolerance = bench.type.logit_tolerance;
  std::vector<PlanRun> runs{asked_for("all_cpu", 0, 0, tolerance, false)};
  const auto add = [&](PlanRun run, const std::optional<Plan>& plan) {
    if (plan) run.plan = *plan;
    else run.refused = "what is no neuron takes " + std::to_string(fixed_bytes(question_of(bench, selection, 0)) / all_bytes) + " of the weights' bytes";
    for (size_t i = 0; i < runs.size() && plan && run.same_as < 0; ++i) {
      if (runs[i].on_device && runs[i].same_as < 0 && runs[i].plan.on_device == plan->on_device) run.same_as = static_cast<int>(i);
    }
    runs.push_back(std::move(run));
  };
  add(asked_for("all_gpu", 0, all_bytes, tolerance, true), plan_of("all_gpu", question_of(bench, selection, all_bytes)));
  for (const std::string& share_text : bench.arguments.list("budgets", "0.25,0.5,1")) {
    const double share = std::stod(share_text);
    // All of the weights fit a budget of all of them, with the predictor as well.
    const double bytes = share * all_bytes + (share >= 1 ? bench.model.predictor_bytes() * bench.model.shape.block_count : 0);
    for (const std::string& policy : bench.arguments.list("policies", "by_block,greedy,makespan")) {
      add(asked_for(policy, share, bytes, tolerance, true), plan_of(policy, question_of(bench, selection, bytes)));
    }
  }
  const std::string given = bench.arguments.text("plan");
  if (const size_t equals = given.find('='); equals != std::string::npos) {
    add(asked_for(given.substr(0, equals), 0, all_bytes, tolerance, true), read_plan(given.substr(equals + 1), bench.model));
  }
  return runs;
}

// Returns whether every plan ran and agreed.
bool run_selection(const Bench& bench, const CpuModel& cpu, const Reference& reference, std::vector<Json>& rows) {
  const Selection selection = cpu.selection;
  std::vector<PlanRun> runs = plans_of(bench, selection);
  const uint32_t rounds = static_cast<uint32_t>(bench.arguments.number("rounds", 3));
  for (uint32_t round = 0; round < rounds; ++round) {
    for (PlanRun& run : runs) {
      if (!run.refused.empty() || !run.failed.empty() || run.same_as >= 0) continue;
      std::fprintf(stderr, "  round %u of %u: %s %s, budget %g\n", round + 1, rounds, name_of(selection), run.policy.c_str(), run.budget_share);
      try {
        run_plan(run, cpu, bench.settings, reference, round == 0);
      } catch (const LibraryError& error) {
        (error.status == POWERINFER_OUT_OF_MEMORY ? run.refused : run.failed) = error.what();
      }
    }
  }
  bool good = true;
  for (size_t i = 0; i < runs.size(); ++i) {
    rows.push_back(row_of(runs, i, cpu, bench.settings));
    const bool ran = runs[i].refused.empty() && runs[i].same_as < 0;
    if (ran && !runs[i].good()) good = false;
  }
  return good;
}

}  // namespace

PlanQuestion question_of(const Bench& bench, Selection selection, double budget_bytes) {
  return {bench.model, selection == Selection::kPredictor, budget_bytes, bench.settings.device_bytes_per_s, bench.settings.cpu_bytes_per_s,
          bench.arguments.number("hand-off", 0)};
}

bool run_plans(const Bench& bench, Json& report) {
  bool wanted[2] = {false, false};  // by Selection
  for (const std::string& name : bench.arguments.list("selections", "gate,predictor")) {
    if (name != "gate" && name != "predictor") throw std::invalid_argument("there is no selection " + name + "; there are gate and predictor");
    wanted[name == "predictor"] = true;
  }
  Reference reference;
  std::vector<Json> rows;
  bool good = true;
  {
    const CpuModel exact(bench.model, Selection::kGate, bench.cpu);
    reference = reference_of(exact, bench.settings.warm_up_count + bench.settings.token_count);
    if (wanted[0]) good = run_selection(bench, exact, reference, rows);
  }
  if (wanted[1]) good = run_selection(bench, CpuModel(bench.model, Selection::kPredictor, bench.cpu), reference, rows) && good;
  report.flag("agrees", good).rows("plans", rows);
  return good;
}

}  // namespace powerinfer_check
