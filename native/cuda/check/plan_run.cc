// How fast is a plan, and does it say what the CPU alone says?
#include "plan_run.h"

#include <algorithm>

#include "median.h"

namespace powerinfer_check {
namespace {

// Of a token: what is shorter than this is lost in the noise of measuring, and so is how much of it was hidden.
constexpr double kShortestPart = 0.02;

// The device may allocate more than its budget for weights: KV cache and workspace, packing, and what is rounded up for each tensor.
double limit_of(const PlanRun& run, const CpuModel& cpu, uint32_t position_count) {
  const powerinfer_model_shape& s = cpu.planted.shape;
  const double weights = run.plan.counts.empty() ? 0 : std::min(run.budget_bytes, static_cast<double>(cpu.planted.size_bytes()));
  const double predictor = cpu.planted.predictor_bytes() * s.block_count;
  const double cache = 4.0 * s.block_count * s.kv_head_count * s.head_width * position_count;
  return 1.02 * (weights + predictor) + cache + (1 << 26);
}

double available_bytes(uint32_t plugin) {
  powerinfer_backend_facts facts{};
  facts.struct_size = sizeof facts;
  require(powerinfer_device_facts(plugin, 0, &facts));
  return facts.memory_available_bytes;
}

// Feeds the decoder tokens of the reference from `first` on. Returns seconds.
double feed(Decoder& decoder, const Reference& reference, uint32_t first, uint32_t count, uint32_t vocabulary_size, Agreement* agreement) {
  std::vector<float> logits(vocabulary_size);
  double seconds = 0;
  for (uint32_t step = first; step < first + count; ++step) {
    const double start = seconds_now();
    decoder.step(reference.tokens[step], step, logits.data());
    seconds += seconds_now() - start;
    if (agreement != nullptr) agreement->compare(reference, step, logits);
  }
  return seconds;
}

// The same tokens with only some parts of the work. Returns seconds a token.
double seconds_of(Parts parts, Decoder& decoder, const CpuModel& cpu, const RunSettings& settings, const Reference& reference, Agreement* agreement) {
  decoder.parts = parts;
  decoder.restart(settings.warm_up_count + settings.token_count);
  feed(decoder, reference, 0, settings.warm_up_count, cpu.planted.shape.vocabulary_size, agreement);
  return feed(decoder, reference, settings.warm_up_count, settings.token_count, cpu.planted.shape.vocabulary_size, agreement) / settings.token_count;
}

BytesRead a_token(const BytesRead& before, const BytesRead& after, double count) {
  return {(after.device - before.device) / count,
          (after.device_ffn - before.device_ffn) / count,
          (after.cpu - before.cpu) / count,
          (after.cpu_ffn - before.cpu_ffn) / count,
          (after.neuron_count - before.neuron_count) / count,
          (after.computed_count - before.computed_count) / count};
}

bool shares_blocks(const PlanRun& run, const powerinfer_model_shape& shape) {
  return run.on_device && std::any_of(run.plan.counts.begin(), run.plan.counts.end(), [&](uint32_t count) { return count > 0 && count < shape.ffn_width; });
}

}  // namespace

void run_plan(PlanRun& run, const CpuModel& cpu, const RunSettings& settings, const Reference& reference, bool first) {
  const powerinfer_model_shape& shape = cpu.planted.shape;
  const uint32_t position_count = settings.warm_up_count + settings.token_count;
  const double available = available_bytes(settings.plugin);
  std::unique_ptr<Decoder> decoder =
      run.on_device ? decode_on_device(cpu, settings.plugin, run.plan, limit_of(run, cpu, position_count)) : decode_on_cpu(cpu);
  decoder->restart(position_count);
  if (run.on_device) run.device_memory_bytes = available - available_bytes(settings.plugin);
  feed(*decoder, reference, 0, settings.warm_up_count, shape.vocabulary_size, &run.agreement);
  const BytesRead before = decoder->read();
  const double cpu_before_s = decoder->cpu_ffn_s;
  const double token_s = feed(*decoder, reference, settings.warm_up_count, settings.token_count, shape.vocabulary_size, &run.agreement) / settings.token_count;
  const double cpu_s = (decoder->cpu_ffn_s - cpu_before_s) / settings.token_count;
  run.bytes = a_token(before, decoder->read(), settings.token_count);
  run.token_s.push_back(token_s);
  run.cpu_ffn_s = cpu_s;
  if (!first || !shares_blocks(run, shape)) return;
  const double device_s = seconds_of(Parts::kWithoutCpu, *decoder, cpu, settings, reference, &run.without_cpu);
  const double rest_s = seconds_of(Parts::kWithoutFfn, *decoder, cpu, settings, reference, nullptr);
  const double shorter_s = std::min(cpu_s, device_s - rest_s);
  if (shorter_s > kShortestPart * token_s) run.overlap = (cpu_s + device_s - token_s) / shorter_s;
}

Json row_of(const std::vector<PlanRun>& runs, size_t index, const CpuModel& cpu, const RunSettings& settings) {
  const PlanRun& asked = runs[index];
  const PlanRun& run = asked.same_as < 0 ? asked : runs[static_cast<size_t>(asked.same_as)];
  const powerinfer_model_shape& shape = cpu.planted.shape;
  Json row;
  row.text("selection", name_of(cpu.selection)).text("policy", asked.policy).number("budget_share", asked.budget_share);
  if (!run.refused.empty()) return row.text("refused", run.refused);
  if (!run.failed.empty()) return row.text("failed", run.failed);
  if (asked.same_as >= 0) row.text("same_as", run.policy).number("same_as_budget_share", run.budget_share);
  double on_device = 0;
  for (const uint32_t count : run.plan.counts) on_device += count;
  const double token_s = median(run.token_s);
  const BytesRead& b = run.bytes;
  const double device_s = b.device / settings.device_bytes_per_s, cpu_s = b.cpu / settings.cpu_bytes_per_s;
  const double floor_s = std::max(device_s, cpu_s);
  // Attention comes before the FFN of its block: only FFNs run side by side.
  const double serial_floor_s = (b.device - b.device_ffn) / settings.device_bytes_per_s + (b.cpu - b.cpu_ffn) / settings.cpu_bytes_per_s +
                                std::max(b.device_ffn / settings.device_bytes_per_s, b.cpu_ffn / settings.cpu_bytes_per_s);
  row.number("neurons_on_device", on_device / (static_cast<double>(shape.block_count) * shape.ffn_width))
      .number("tokens_per_s", 1 / token_s)
      .number("tokens_per_s_least", 1 / *std::max_element(run.token_s.begin(), run.token_s.end()))
      .number("tokens_per_s_most", 1 / *std::min_element(run.token_s.begin(), run.token_s.end()))
      .number("device_bytes_per_token", b.device)
      .number("cpu_bytes_per_token", b.cpu)
      .number("active_share", b.computed_count / (static_cast<double>(shape.block_count) * shape.ffn_width))
      .number("floor_tokens_per_s", 1 / floor_s)
      .number("of_floor", floor_s / token_s)
      .number("of_serial_floor", serial_floor_s / token_s)
      .number("cpu_ffn_s_per_token", run.on_device ? run.cpu_ffn_s : NAN)
      .number("overlap", run.overlap)
      .number("device_memory_bytes", run.device_memory_bytes)
      .number("tokens_compared", run.agreement.token_count)
      .number("tokens_equal", run.agreement.equal_count)
      .number("near_ties", run.agreement.near_tie_count)
      .number("logit_error", run.agreement.logit_error)
      .flag("agrees", run.agreement.holds());
  if (run.without_cpu.token_count > 0) row.number("control_logit_error", run.without_cpu.logit_error).flag("control_shows", run.control_shows());
  for (const PlanRun& other : runs) {
    if (other.policy != "by_block" || other.budget_share != asked.budget_share) continue;
    const PlanRun& rival = other.same_as < 0 ? other : runs[static_cast<size_t>(other.same_as)];
    if (!rival.token_s.empty()) row.number("times_by_block", median(rival.token_s) / token_s);
  }
  return row;
}

}  // namespace powerinfer_check
