// CUDA's atomic functions on device and shared memory, and its fences. Relaxed, as on a GPU: they order nothing but themselves.
#pragma once
#include <cstdint>
#include <cstring>

#include "race_detector.h"

namespace cuda_sim {

// *address = change(*address), in one step; returns what was there.
template <class T, class Change>
T atomically(T* address, Change change) {
  T seen;
  __atomic_load(address, &seen, __ATOMIC_RELAXED);
  T wanted = change(seen);
  while (!__atomic_compare_exchange(address, &seen, &wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) wanted = change(seen);
  return seen;
}

}  // namespace cuda_sim

#define CUDA_SIM_ATOMIC(name, type, changed) \
  inline type name(type* address, type value) { return cuda_sim::atomically(address, [=](type seen) -> type { return changed; }); }
#define CUDA_SIM_INTEGER_ATOMICS(type)                            \
  CUDA_SIM_ATOMIC(atomicAdd, type, seen + value)                  \
  CUDA_SIM_ATOMIC(atomicMax, type, seen > value ? seen : value)   \
  CUDA_SIM_ATOMIC(atomicMin, type, seen < value ? seen : value)   \
  CUDA_SIM_ATOMIC(atomicAnd, type, seen & value)                  \
  CUDA_SIM_ATOMIC(atomicOr, type, seen | value)                   \
  CUDA_SIM_ATOMIC(atomicXor, type, seen ^ value)                  \
  CUDA_SIM_ATOMIC(atomicExch, type, (static_cast<void>(seen), value)) \
  inline type atomicCAS(type* address, type expected, type value) {                                  \
    return cuda_sim::atomically(address, [=](type seen) { return seen == expected ? value : seen; }); \
  }
CUDA_SIM_INTEGER_ATOMICS(int)
CUDA_SIM_INTEGER_ATOMICS(unsigned)
CUDA_SIM_INTEGER_ATOMICS(unsigned long long)
CUDA_SIM_ATOMIC(atomicAdd, float, seen + value)
CUDA_SIM_ATOMIC(atomicAdd, double, seen + value)
CUDA_SIM_ATOMIC(atomicSub, int, seen - value)
CUDA_SIM_ATOMIC(atomicSub, unsigned, seen - value)
CUDA_SIM_ATOMIC(atomicInc, unsigned, seen >= value ? 0u : seen + 1)
CUDA_SIM_ATOMIC(atomicExch, float, (static_cast<void>(seen), value))
#undef CUDA_SIM_INTEGER_ATOMICS
#undef CUDA_SIM_ATOMIC

// A host's threads see each other's writes in order anyway; it is the race detector that has to be told of a fence.
inline void __threadfence() { cuda_sim::fence(); }
inline void __threadfence_block() { cuda_sim::fence(); }
inline void __threadfence_system() { cuda_sim::fence(); }
