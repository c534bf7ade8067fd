// What does a neuron do with its sum? NaN stays NaN in every one of them, so that a broken model shows.
#pragma once
#include <cmath>
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer {

// Calls body(f) with the function of POWERINFER_ACTIVATION_x: the choice is made once, outside the caller's loop.
template <class Body>
void with_activation(uint32_t activation, Body&& body) {
  switch (activation) {
    case POWERINFER_ACTIVATION_RELU: return body([](float x) { return x < 0 ? 0.0f : x; });
    case POWERINFER_ACTIVATION_RELU_SQUARED: return body([](float x) { return x < 0 ? 0.0f : x * x; });
    case POWERINFER_ACTIVATION_SILU: return body([](float x) { return x / (1.0f + std::exp(-x)); });
    case POWERINFER_ACTIVATION_GELU: return body([](float x) { return 0.5f * x * (1.0f + std::erf(x * 0.70710678118654752f)); });
    default: return body([](float x) { return x; });
  }
}

}  // namespace powerinfer
