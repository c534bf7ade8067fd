// __shared__ variables of fixed size. A block has an OS thread to itself while it runs, so they are variables of that thread.
#pragma once

#define __shared__ static thread_local

namespace cuda_sim {

// Fills those of the calling thread with 0xFF, so that nothing of the last block is left to be read.
// The calling thread must be one that the simulator made for blocks: all its variables are filled, those of other code too.
void poison_static_shared();

}  // namespace cuda_sim
