// Does decoding for long take ever more memory?
#include "leak_run.h"

#include <fstream>
#include <string>

#include "agreement.h"

namespace powerinfer_check {
namespace {

// What is taken once and by no token: buffers of the C library, stacks that grow.
constexpr double kAllowedHostBytes = 8 << 20;

struct MemoryTaken {
  double device_available_bytes;
  double host_bytes;  // resident, and of no file
};

MemoryTaken memory_taken(uint32_t plugin) {
  powerinfer_backend_facts facts{};
  facts.struct_size = sizeof facts;
  require(powerinfer_device_facts(plugin, 0, &facts));
  std::ifstream status("/proc/self/status");
  double kibibytes = NAN;
  for (std::string word; status >> word;) {
    if (word == "RssAnon:") status >> kibibytes;
  }
  return {facts.memory_available_bytes, kibibytes * 1024};
}

}  // namespace

LeakRun run_for_leaks(const CpuModel& cpu, uint32_t plugin, const Plan& plan, uint32_t token_count, uint32_t position_count) {
  std::vector<float> logits(cpu.planted.shape.vocabulary_size);
  uint32_t token = 1;
  MemoryTaken before{};
  const double budget_bytes = 1.1 * static_cast<double>(cpu.planted.size_bytes()) + (1 << 28);
  const std::unique_ptr<Decoder> decoder = decode_on_device(cpu, plugin, plan, budget_bytes);
  for (uint32_t step = 0; step < token_count; ++step) {
    const uint32_t position = step % position_count;
    if (step == 2 * position_count) before = memory_taken(plugin);
    if (position == 0) decoder->restart(position_count);
    decoder->step(token, position, logits.data());
    token = most_likely(logits);
  }
  const MemoryTaken after = memory_taken(plugin);
  const double device_growth = before.device_available_bytes - after.device_available_bytes, host_growth = after.host_bytes - before.host_bytes;
  const bool passes = token_count > 2 * position_count && device_growth <= 0 && host_growth <= kAllowedHostBytes;
  return {static_cast<double>(token_count), static_cast<double>(position_count), device_growth, host_growth, passes};
}

Json LeakRun::json() const {
  Json json;
  json.number("tokens", token_count).number("tokens_a_sequence", position_count).number("device_growth_bytes", device_growth_bytes);
  return json.number("host_growth_bytes", host_growth_bytes).number("host_growth_allowed_bytes", kAllowedHostBytes).flag("passes", passes);
}

}  // namespace powerinfer_check
