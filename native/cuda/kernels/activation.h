// What does a neuron do with its sum? The functions of native/cpu/activation.h, on the device.
#pragma once
#include <cmath>

#include "../../include/powerinfer.h"
#include "../cuda.h"

namespace powerinfer::cuda {

// `activation` is POWERINFER_ACTIVATION_x, and the same for all threads. NaN stays NaN.
__device__ inline float activated(uint32_t activation, float x) {
  switch (activation) {
    case POWERINFER_ACTIVATION_RELU: return x < 0 ? 0.0f : x;
    case POWERINFER_ACTIVATION_RELU_SQUARED: return x < 0 ? 0.0f : x * x;
    case POWERINFER_ACTIVATION_SILU: return x / (1.0f + expf(-x));
    case POWERINFER_ACTIVATION_GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    default: return x;
  }
}

}  // namespace powerinfer::cuda
