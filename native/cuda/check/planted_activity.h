// How often does each neuron of a planted block fire?
#pragma once
#include <cstdint>
#include <vector>

namespace powerinfer_check {

// The share of tokens that each neuron fires for, hottest first: a power law over the rank, cut off at 0.99, whose mean is `active_share` and of whose sum
// the hottest fifth has 0.8.
std::vector<double> firing_shares(uint32_t neuron_count, double active_share);
// The part of all firing that the hottest fifth of the neurons does.
double hot_share(const std::vector<double>& shares);

// The number that a standard normal value exceeds with this probability.
double exceeded_with(double probability);
// The mean square of max(0, z − threshold), z standard normal.
double energy_above(double threshold);

}  // namespace powerinfer_check
