// CUDA, or the simulator of it: the one header through which every file of this folder comes to either.
//
// Sources are CUDA C++ but for two spellings, which both worlds can give a meaning: a launch, and shared memory whose size the launch says.
//   CUDA_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)   kernel<<<grid, block, shared_bytes, stream>>>(arguments...)
//   CUDA_DYNAMIC_SHARED(float, tile)                                        extern __shared__ float tile[]
#pragma once
#include <cstdint>

#ifdef POWERINFER_CUDA_SIM
#include "sim/runtime.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define CUDA_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)
#define CUDA_DYNAMIC_SHARED(type, name)                         \
  extern __shared__ __align__(16) unsigned char name##_bytes[]; \
  type* const name = reinterpret_cast<type*>(name##_bytes)
#endif
