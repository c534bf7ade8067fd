// Which device is this, and what has it got?
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer::cuda {

// Devices of this machine. Fails with UNSUPPORTED without a driver or a device, in the driver's words.
uint32_t gpu_count();
// What device `ordinal` is. Fails with INVALID_ARGUMENT if there is none of that number, and with UNSUPPORTED if it is older than these kernels, so that nobody
// plans with it. The device stays this thread's: to go back to another by cudaSetDevice would make that one's context, hundreds of MiB that nobody asked for.
powerinfer_backend_facts gpu_facts(uint32_t ordinal);
// Fails as gpu_facts does; else the device is this thread's from now on.
void use_gpu(uint32_t ordinal);
// The same for a device that has been used before: calls come from any thread. Errors that others left behind in this one are not ours.
void make_current(uint32_t ordinal);

}  // namespace powerinfer::cuda
