// In how many levels does a sign-bit predictor see the magnitudes of x, and how large are they?
#pragma once
#include <cstdint>

namespace powerinfer {

constexpr uint32_t kPlanesMax = 3;
// The root mean square of x is this level: the largest is reached at some twice of it.
constexpr double kMeanLevel[kPlanesMax + 1] = {0, 1, 1.25, 3};

}  // namespace powerinfer
