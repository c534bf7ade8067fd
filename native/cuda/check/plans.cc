// Which neurons does the device hold?
#include "plans.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>

namespace powerinfer_check {
namespace {

Plan nothing(const PlantedModel& model) {
  const uint32_t block_count = model.shape.block_count;
  return {std::vector<std::vector<uint32_t>>(block_count, std::vector<uint32_t>((model.shape.ffn_width + 31) / 32)), std::vector<uint32_t>(block_count)};
}

void put(Plan& plan, uint32_t block, uint32_t neuron) {
  uint32_t& word = plan.on_device[block][neuron / 32];
  const uint32_t bit = 1u << neuron % 32;
  if ((word & bit) == 0) ++plan.counts[block];
  word |= bit;
}

// The hottest `counts[block]` neurons of every block.
Plan hottest(const PlantedModel& model, const std::vector<uint32_t>& counts) {
  Plan plan = nothing(model);
  for (uint32_t block = 0; block < counts.size(); ++block) {
    for (uint32_t rank = 0; rank < counts[block]; ++rank) put(plan, block, model.hottest_first[block][rank]);
  }
  return plan;
}

uint64_t neurons_that_fit(const PlanQuestion& question) {
  const powerinfer_model_shape& s = question.model.shape;
  const double fit = std::max(0.0, (question.budget_bytes - fixed_bytes(question)) / question.model.neuron_bytes());
  return static_cast<uint64_t>(std::min(fit + 1e-6, static_cast<double>(s.block_count) * s.ffn_width));
}

std::vector<uint32_t> even_counts(const PlanQuestion& question, uint64_t neurons) {
  const uint32_t block_count = question.model.shape.block_count;
  std::vector<uint32_t> counts(block_count, static_cast<uint32_t>(neurons / block_count));
  for (uint32_t block = 0; block < neurons % block_count; ++block) ++counts[block];
  return counts;
}

std::vector<uint32_t> block_counts(const PlanQuestion& question) {
  const powerinfer_model_shape& s = question.model.shape;
  const uint64_t whole = neurons_that_fit(question) / s.ffn_width;
  std::vector<uint32_t> counts(s.block_count, 0);
  std::fill_n(counts.rbegin(), std::min<uint64_t>(whole, s.block_count), s.ffn_width);
  return counts;
}

// Expected seconds of a block's FFN with the `count` hottest neurons on the device.
class BlockSeconds {
 public:
  explicit BlockSeconds(const PlanQuestion& question) : question_(question), bytes_before_{0} {
    const double gate = question.model.gate_row_bytes(), all = question.model.neuron_bytes();
    for (const double share : question.model.firing_shares) {
      bytes_before_.push_back(bytes_before_.back() + (question.predicts ? share * all : gate + share * (all - gate)));
    }
  }
  double device(uint64_t count) const { return bytes_before_[count] / question_.device_bytes_per_s; }
  double cpu(uint64_t count) const { return (bytes_before_.back() - bytes_before_[count]) / question_.cpu_bytes_per_s; }
  double operator()(uint64_t count) const {
    return std::max(device(count), cpu(count)) + (count < question_.model.firing_shares.size() ? question_.hand_off_s : 0);
  }

 private:
  const PlanQuestion& question_;
  std::vector<double> bytes_before_;  // [ffn_width + 1]
};

std::vector<uint32_t> makespan_counts(const PlanQuestion& question) {
  const powerinfer_model_shape& s = question.model.shape;
  const BlockSeconds seconds(question);
  const uint64_t room = neurons_that_fit(question);
  // From here on the device is the slower one.
  uint64_t balanced = 0;
  while (balanced < s.ffn_width && seconds.device(balanced) < seconds.cpu(balanced)) ++balanced;
  double least = INFINITY;
  std::vector<uint32_t> best;
  for (uint32_t whole = 0; whole <= s.block_count && uint64_t{whole} * s.ffn_width <= room; ++whole) {
    const uint32_t divided = s.block_count - whole;
    const uint64_t count = divided == 0 ? 0 : std::min(balanced, (room - uint64_t{whole} * s.ffn_width) / divided);
    const double total = whole * seconds(s.ffn_width) + divided * seconds(count);
    if (total >= least) continue;
    least = total;
    best.assign(s.block_count, static_cast<uint32_t>(count));
    std::fill_n(best.rbegin(), whole, s.ffn_width);
  }
  return best;
}

}  // namespace

double fixed_bytes(const PlanQuestion& question) {
  const PlantedModel& model = question.model;
  return model.home_bytes() + (question.predicts ? model.predictor_bytes() * model.shape.block_count : 0);
}

std::optional<Plan> plan_of(const std::string& policy, const PlanQuestion& question) {
  const powerinfer_model_shape& s = question.model.shape;
  if (policy == "all_gpu") return hottest(question.model, std::vector<uint32_t>(s.block_count, s.ffn_width));
  if (question.budget_bytes < fixed_bytes(question)) return std::nullopt;
  if (policy == "by_block") return hottest(question.model, block_counts(question));
  if (policy == "greedy") return hottest(question.model, even_counts(question, neurons_that_fit(question)));
  if (policy == "makespan") return hottest(question.model, makespan_counts(question));
  throw std::invalid_argument("there is no policy " + policy + "; there are by_block, greedy, makespan and all_gpu");
}

Plan read_plan(const std::string& path, const PlantedModel& model) {
  Plan plan = nothing(model);
  std::ifstream file(path);
  std::string line, part;
  const auto refuse = [&](uint32_t block, const std::string& what) {
    throw std::invalid_argument(path + ", line " + std::to_string(block + 1) + ": " + what);
  };
  for (uint32_t block = 0; block < model.shape.block_count; ++block) {
    if (!std::getline(file, line)) refuse(block, "there is none; the model has " + std::to_string(model.shape.block_count) + " blocks");
    std::istringstream parts(line);
    while (parts >> part && part != "-") {
      uint32_t first = 0, last = 0;
      char dash = 0;
      std::istringstream range(part);
      range >> first;
      if (range >> dash >> last ? dash != '-' : !range.eof()) refuse(block, part + " is no range of neurons");
      if (dash == 0) last = first;
      if (first > last || last >= model.shape.ffn_width) refuse(block, part + " names neurons that the model does not have");
      for (uint32_t n = first; n <= last; ++n) put(plan, block, n);
    }
  }
  return plan;
}

}  // namespace powerinfer_check
