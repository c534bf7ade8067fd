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
// Prints JSON; the status is 1 if a plan failed, or said something else than the CPU alone. Without a plugin it prints how many bytes the model would take.
// Uses powerinfer.h and nothing else of the library.
#include <cstdio>
#include <exception>

#include "leak_run.h"
#include "plan_table.h"
#include "planted_activity.h"

using namespace powerinfer_check;

namespace {

constexpr uint32_t kWarmUpTokens = 4;
constexpr double kCpuReadBytes = 1e9;  // larger than caches

bool run_leaks(const Bench& bench, uint32_t token_count, Json& report) {
  const CpuModel cpu(bench.model, Selection::kPredictor, bench.cpu);
  const std::optional<Plan> plan = plan_of("greedy", question_of(bench, Selection::kPredictor, 0.5 * static_cast<double>(bench.model.size_bytes())));
  if (!plan) throw std::runtime_error("half of the weights' bytes do not hold what is no neuron");
  const LeakRun run = run_for_leaks(cpu, bench.plugin, *plan, token_count, static_cast<uint32_t>(bench.arguments.number("tokens", 64)));
  report.raw("leaks", run.json().object());
  return run.passes;
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
  const uint32_t token_count = static_cast<uint32_t>(arguments.number("tokens", 64));
  const RunSettings settings{plugin, token_count, kWarmUpTokens, arguments.number("device-bandwidth", NAN), cpu_bytes_per_s};
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
  const bool good = leak_tokens > 0 ? run_leaks(bench, static_cast<uint32_t>(leak_tokens), report) : run_plans(bench, report);
  std::printf("%s\n", report.object().c_str());
  return good ? 0 : 1;
}

}  // namespace

int main(int argument_count, char** texts) {
  try {
    return run(Arguments(argument_count, texts, {"plugin", "device-bandwidth", "hand-off", "shape", "type", "active", "folder", "budgets", "policies", "plan",
                                                 "selections", "tokens", "rounds", "threads", "leak-tokens"}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
