// How fast are tokens decoded when the CPU and a device divide a model, beside other ways to use the two?
//
//   powerinfer_hybrid_bench --plugin libpowerinfer_cuda.so --device-bandwidth BYTES_PER_S --hand-off SECONDS [option value]...
//     --shape NAME       of the planted model (planted_model.cc); default bamboo-7b
//     --type TYPE        F16, Q8_0 or Q4_0; default Q4_0
//     --active SHARE     of the neurons that fire for a token, default 0.1
//     --folder PATH      where the model is written, for as long as the program runs; default /tmp
//     --budgets SHARES   of the weights that the device may hold, default 0.25,0.5,1
//     --policies NAMES   default by_block,greedy,makespan (plans.h)
//     --plan NAME=FILE   one more plan, of the file's form in plans.h, without a budget
//     --selections NAMES gate, predictor (decode.h); default both
//     --tokens N         timed a round, default 64
//     --rounds N         default 3: every round runs every plan once, in turn
//     --threads N        of the CPU; default all cores
//     --leak-tokens N    instead of all plans: decodes so many tokens and compares the memory taken
//
// Without a plugin it prints how many bytes the model would take. Else JSON; the status is 1 if a plan failed, or said something else than the CPU alone. Uses powerinfer.h and nothing else of the library.
#include <cstdio>
#include <exception>

#include "arguments.h"
#include "leak_run.h"
#include "median.h"
#include "planted_activity.h"
#include "plan_run.h"

using namespace powerinfer_check;

namespace {

constexpr uint32_t kWarmUpTokens = 4;
constexpr double kCpuReadBytes = 1e9;  // larger than caches

struct Bench {
  const Arguments& arguments;
  const PlantedType& type;
  const PlantedModel& model;
  uint32_t cpu;
  uint32_t plugin;
  RunSettings settings;
};

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

PlanQuestion question_of(const Bench& bench, Selection selection, double budget_bytes) {
  return {bench.model, selection == Selection::kPredictor, budget_bytes, bench.settings.device_bytes_per_s, bench.settings.cpu_bytes_per_s,
          bench.arguments.number("hand-off", 0)};
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
      std::fprintf(stderr, "  round %u of %u: %s %s, budget %g\n", round + 1, rounds, selection == Selection::kGate ? "exact_gate" : "low_rank", run.policy.c_str(),
                   run.budget_share);
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

bool run_bench(const Bench& bench, Json& report) {
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
    reference = reference_of(exact, kWarmUpTokens + bench.settings.token_count);
    if (wanted[0]) good = run_selection(bench, exact, reference, rows);
  }
  if (wanted[1]) good = run_selection(bench, CpuModel(bench.model, Selection::kPredictor, bench.cpu), reference, rows) && good;
  report.flag("agrees", good).rows("plans", rows);
  return good;
}

bool run_leaks(const Bench& bench, uint32_t token_count, Json& report) {
  const CpuModel cpu(bench.model, Selection::kPredictor, bench.cpu);
  const std::optional<Plan> plan = plan_of("greedy", question_of(bench, Selection::kPredictor, 0.5 * static_cast<double>(bench.model.size_bytes())));
  if (!plan) throw std::runtime_error("half of the weights' bytes do not hold what is no neuron");
  const Json found = run_for_leaks(cpu, bench.plugin, *plan, token_count, static_cast<uint32_t>(bench.arguments.number("tokens", 64)));
  report.raw("leaks", found.object());
  return found.object().find("\"passes\": true") != std::string::npos;
}

uint32_t load(const std::string& path) {
  uint32_t plugin = 0;
  require(powerinfer_plugin_load(path.data(), length_of(path), &plugin));
  return plugin;
}

std::string text_of(powerinfer_status (*read)(uint32_t, char*, uint32_t, uint32_t*), uint32_t plugin) {
  char text[64];
  uint32_t length = 0;
  require(read(plugin, text, sizeof text, &length));
  return std::string(text, length);
}

int run(const Arguments& arguments) {
  const PlantedType& type = planted_type(arguments.text("type", "Q4_0"));
  const PlantedShape& shape = planted_shape(arguments.text("shape", "bamboo-7b"));
  if (arguments.text("plugin").empty()) {
    std::printf("%.0f\n", planted_bytes(shape, type));
    return 0;
  }
  const uint32_t plugin = load(arguments.text("plugin"));
  Handle cpu(powerinfer_cpu_close);
  require(powerinfer_cpu_open(static_cast<uint32_t>(arguments.number("threads", 0)), POWERINFER_ISA_AUTO, cpu.out()));
  uint32_t threads = 0, isa = 0;
  require(powerinfer_cpu_describe(cpu, &threads, &isa));
  double cpu_bytes_per_s = 0;
  require(powerinfer_cpu_measure_bandwidth(cpu, arguments.text("shape") == "tiny" ? 1 << 26 : kCpuReadBytes, 3, &cpu_bytes_per_s));

  std::fprintf(stderr, "  planting %s in %s, %.2f GB\n", shape.name, type.name, planted_bytes(shape, type) * 1e-9);
  const PlantedModel model(shape, type, arguments.number("active", 0.1), arguments.text("folder", "/tmp") + "/planted.gguf_tensors");
  const RunSettings settings{plugin, static_cast<uint32_t>(arguments.number("tokens", 64)), kWarmUpTokens, arguments.number("device-bandwidth", NAN), cpu_bytes_per_s};
  const Bench bench{arguments, type, model, cpu, plugin, settings};

  Json report;
  report.text("backend", text_of(powerinfer_plugin_name, plugin))
      .text("shape", shape.name)
      .text("type", type.name)
      .number("weight_bytes", static_cast<double>(model.size_bytes()))
      .number("home_bytes", model.home_bytes())
      .number("predictor_bytes", model.predictor_bytes() * shape.block_count)
      .number("active_share", arguments.number("active", 0.1))
      .number("hot_fifth_share", hot_share(model.firing_shares))
      .number("threads", threads)
      .number("cpu_bytes_per_s", cpu_bytes_per_s)
      .number("device_bytes_per_s", settings.device_bytes_per_s)
      .number("hand_off_s", arguments.number("hand-off", NAN))
      .number("logit_tolerance", type.logit_tolerance);
  const double leak_tokens = arguments.number("leak-tokens", 0);
  const bool good = leak_tokens > 0 ? run_leaks(bench, static_cast<uint32_t>(leak_tokens), report) : run_bench(bench, report);
  std::printf("%s\n", report.object().c_str());
  return good ? 0 : 1;
}

}  // namespace

int main(int argument_count, char** texts) {
  try {
    return run(Arguments(argument_count, texts,
                         {"plugin", "device-bandwidth", "hand-off", "shape", "type", "active", "folder", "budgets", "policies", "plan", "selections", "tokens", "rounds",
                          "threads", "leak-tokens"}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
