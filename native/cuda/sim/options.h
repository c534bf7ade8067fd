// What environment variables say about the simulator, read once. README.md lists them.
#pragma once
#include <cstdint>

namespace cuda_sim {

struct Options {
  uint64_t seed;          // CUDA_SIM_SEED: 0 runs threads and blocks in order, anything else in an order made of it
  unsigned thread_count;  // CUDA_SIM_THREADS: OS threads that run blocks
  bool lazy;              // CUDA_SIM_STREAM=lazy: work runs when something waits for it; =eager: at once
  uint64_t memory_bytes;  // CUDA_SIM_MEMORY: of each device
  int device_count;       // CUDA_SIM_DEVICES
  int driver_version;     // CUDA_SIM_DRIVER: 13000 is CUDA 13.0; 0: there is none
  int capability;         // CUDA_SIM_CAPABILITY: 80 is compute capability 8.0
};

const Options& options();

}  // namespace cuda_sim
