// How often does each neuron of a planted block fire?
#include "planted_activity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace powerinfer_check {
namespace {

constexpr double kShareMax = 0.99;   // no neuron fires always
constexpr double kHotShare = 0.8;    // of all firing, by the hottest fifth
constexpr double kSteepest = 20;     // with this exponent, hardly anybody else fires

// Probability that a standard normal value exceeds `value`.
double above(double value) { return 0.5 * std::erfc(value / std::sqrt(2.0)); }

// The number between low and high from which on `too_low` is false.
template <class TooLow>
double bisect(double low, double high, TooLow&& too_low) {
  for (int step = 0; step < 40; ++step) {
    const double middle = (low + high) / 2;
    (too_low(middle) ? low : high) = middle;
  }
  return high;
}

}  // namespace

std::vector<double> firing_shares(uint32_t neuron_count, double active_share) {
  std::vector<double> shares(neuron_count);
  const auto fill = [&](double exponent, double log_scale) {
    for (uint32_t rank = 0; rank < neuron_count; ++rank) {
      shares[rank] = std::min(kShareMax, std::exp(log_scale - exponent * std::log((rank + 0.5) / neuron_count)));
    }
    return std::accumulate(shares.begin(), shares.end(), 0.0) / neuron_count;
  };
  bisect(0, kSteepest, [&](double exponent) {
    // At the lower end no neuron exceeds the mean that is wanted, at the upper end none falls below it.
    const double lowest = std::log(active_share) + exponent * std::log(0.5 / neuron_count);
    fill(exponent, bisect(lowest, std::log(active_share), [&](double log_scale) { return fill(exponent, log_scale) < active_share; }));
    return hot_share(shares) < kHotShare;
  });
  return shares;
}

double hot_share(const std::vector<double>& shares) {
  const auto fifth = shares.begin() + static_cast<std::ptrdiff_t>(shares.size() / 5);
  return std::accumulate(shares.begin(), fifth, 0.0) / std::accumulate(shares.begin(), shares.end(), 0.0);
}

double exceeded_with(double probability) {
  return bisect(-10, 10, [&](double value) { return above(value) > probability; });
}

double energy_above(double threshold) {
  const double density = std::exp(-threshold * threshold / 2) / std::sqrt(2 * std::acos(-1.0));
  return (1 + threshold * threshold) * above(threshold) - threshold * density;
}

}  // namespace powerinfer_check
