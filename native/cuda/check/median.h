// The middle of what was measured.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace powerinfer_check {

// NaN of nothing.
inline double median(std::vector<double> values) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

inline double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace powerinfer_check
