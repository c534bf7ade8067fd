// Which device is this, and what has it got?
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer::cuda {

// Devices of this machine. Fails with UNSUPPORTED without a driver or a device, in the driver's words.
uint32_t gpu_count();
// What device `ordinal` is. Fails with INVALID_ARGUMENT if there is none of that number. The device stays this thread's: to name one in cudaSetDevice is to
// make its context, which would take hundreds of MiB of a device that nobody asked for.
powerinfer_backend_facts gpu_facts(uint32_t ordinal);
// Fails as gpu_facts does, and with UNSUPPORTED if the device is older than these kernels; else it is this thread's from now on.
void use_gpu(uint32_t ordinal);
// The same for a device that has been used before: calls come from any thread. Errors that others left behind in this one are not ours.
void make_current(uint32_t ordinal);

}  // namespace powerinfer::cuda
