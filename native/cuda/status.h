// How does an error of CUDA become a Failure, in words that say what to do?
#pragma once
#include "../cpu/error.h"
#include "cuda.h"

namespace powerinfer::cuda {

// Fails unless `error` is cudaSuccess. `what` names what was tried: "copy the weights".
void check(cudaError_t error, const char* what);
// Fails if a launch since the last check was refused.
inline void check_launches(const char* what) { check(cudaGetLastError(), what); }

}  // namespace powerinfer::cuda
