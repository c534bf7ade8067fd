// Which neurons does the device hold? The CPU has the rest; embeddings, attention and the output are always the device's.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "planted_model.h"

namespace powerinfer_check {

struct Plan {
  std::vector<std::vector<uint32_t>> on_device;  // [block], u32[ceil(ffn_width / 32)]: bit n % 32 of word n / 32 is neuron n
  std::vector<uint32_t> counts;                  // [block]: neurons on the device
};

// What a plan is made for.
struct PlanQuestion {
  const PlantedModel& model;
  bool predicts;           // a predictor on the device names neurons; else every gate is read, and the rest of neurons that fire
  double budget_bytes;     // for weights and the predictor
  double device_bytes_per_s, cpu_bytes_per_s;
  double hand_off_s;       // what a block takes longer whose neurons are not all on the device
};

// Bytes that the device holds before any neuron.
double fixed_bytes(const PlanQuestion& question);

/*
 * by_block   whole blocks, the last ones, while they fit: what llama.cpp offloads
 * greedy     the neurons of the whole model that fire most often; as all blocks have the same frequencies, the same share of every block's hottest
 * makespan   the least expected time: some blocks whole, and of all others the same share of the hottest, at most as many as make the device as slow as the CPU
 * all_gpu    everything, whatever the budget
 *
 * Nothing if the budget does not hold what is no neuron. Throws std::invalid_argument for another policy.
 */
std::optional<Plan> plan_of(const std::string& policy, const PlanQuestion& question);

/*
 * A plan that something else made: a line for each block, with the numbers of the neurons on the device and ranges of them, "0-127 300 512-1023", or "-"
 * for none. Throws std::invalid_argument for what is no such file, and for numbers at or above ffn_width.
 */
Plan read_plan(const std::string& path, const PlantedModel& model);

}  // namespace powerinfer_check
