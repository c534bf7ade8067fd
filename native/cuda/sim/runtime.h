// CUDA C++ on a CPU: what a source of this folder sees in place of the toolkit's headers. README.md says what is modelled and what is not.
#pragma once
#include "atomics.h"
#include "device.h"
#include "error.h"
#include "half.h"
#include "intrinsics.h"
#include "launch.h"
#include "memory.h"
#include "pinned.h"
#include "stream.h"
#include "vector_types.h"
#include "warp.h"
