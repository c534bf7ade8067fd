// Runs the blocks of a grid, several at a time, on OS threads of the simulator's own.
#pragma once
#include "thread_block.h"

namespace cuda_sim {

// Returns when all blocks have run. One grid at a time; other callers wait.
void run_grid(const Grid& grid);

}  // namespace cuda_sim
