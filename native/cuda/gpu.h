// Which device is this, and what has it got?
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer::cuda {

// Devices of this machine. Fails with UNSUPPORTED without a driver or a device, in the driver's words.
uint32_t gpu_count();
// What device `ordinal` is. Fails with INVALID_ARGUMENT if there is none of that number.
powerinfer_backend_facts gpu_facts(uint32_t ordinal);
// Makes it this thread's device. Fails as gpu_facts does, and with UNSUPPORTED if it is older than these kernels.
void use_gpu(uint32_t ordinal);

}  // namespace powerinfer::cuda
