// How fast is a device, as a placement wants to know it?
#pragma once
#include <cstdint>

#include "../include/powerinfer.h"

namespace powerinfer::cuda {

// Takes memory for a moment, several times the size of the caches; fails as use_gpu does, and with OUT_OF_MEMORY where that is not free.
powerinfer_backend_speed measure_gpu(uint32_t ordinal);

}  // namespace powerinfer::cuda
