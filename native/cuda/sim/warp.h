// CUDA's functions in which the threads of a block or the lanes of a warp wait for each other.
#pragma once
#include <cstring>

#include "thread_block.h"

#define threadIdx (cuda_sim::current_thread->index)
#define blockIdx (cuda_sim::current_thread->block.index())
#define blockDim (cuda_sim::current_thread->block.grid().threads)
#define gridDim (cuda_sim::current_thread->block.grid().blocks)
#define warpSize 32

inline void __syncthreads(cuda_sim::Place place = cuda_sim::Place::here()) { cuda_sim::current_thread->block.barrier(place); }

namespace cuda_sim {

// Gives `value` to the lanes of `mask`, returns what they gave.
template <class T>
const LaneValues& exchange(unsigned mask, T value, const char* operation, Place place, bool orders_memory = false) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "lanes exchange 64 bits at most");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return current_thread->block.meet(mask, operation, place, bits, orders_memory);
}

template <class T>
T value_of(const LaneValues& values, unsigned lane) {
  T value;
  std::memcpy(&value, &values[lane], sizeof value);
  return value;
}

// What lane `source` gave. Of a lane that takes no part CUDA returns anything; here that is all bits set, a NaN.
template <class T>
T shuffle(unsigned mask, T value, unsigned source, const char* operation, Place place) {
  const LaneValues& values = exchange(mask, value, operation, place);
  if (mask >> source & 1) return value_of<T>(values, source);
  std::memset(&value, 0xFF, sizeof value);
  return value;
}

// The first lane of the caller's section of `width` lanes, within which most shuffles stay.
inline unsigned section(int width) { return current_thread->lane() & ~static_cast<unsigned>(width - 1); }

template <class T, class Combine>
T reduce(unsigned mask, T value, const char* operation, Place place, Combine combine) {
  const LaneValues& values = exchange(mask, value, operation, place);
  unsigned lanes = mask & (mask - 1);
  T result = value_of<T>(values, static_cast<unsigned>(__builtin_ctz(mask)));
  for (; lanes != 0; lanes &= lanes - 1) result = combine(result, value_of<T>(values, static_cast<unsigned>(__builtin_ctz(lanes))));
  return result;
}

}  // namespace cuda_sim

#define CUDA_SIM_PLACE cuda_sim::Place place = cuda_sim::Place::here()
inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_SIM_PLACE) { cuda_sim::exchange(mask, 0u, "__syncwarp", place, true); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, CUDA_SIM_PLACE) {
  return cuda_sim::shuffle(mask, value, cuda_sim::section(width) + static_cast<unsigned>(source & (width - 1)), "__shfl_sync", place);
}
// Of a later section the caller has its own value; earlier ones can be reached.
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize, CUDA_SIM_PLACE) {
  const unsigned lane = cuda_sim::current_thread->lane(), source = lane ^ static_cast<unsigned>(lane_mask);
  const bool reached = source < cuda_sim::section(width) + static_cast<unsigned>(width);
  return cuda_sim::shuffle(mask, value, reached ? source : lane, "__shfl_xor_sync", place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, CUDA_SIM_PLACE) {
  const unsigned lane = cuda_sim::current_thread->lane();
  const bool reached = lane >= cuda_sim::section(width) + delta;
  return cuda_sim::shuffle(mask, value, reached ? lane - delta : lane, "__shfl_up_sync", place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, CUDA_SIM_PLACE) {
  const unsigned lane = cuda_sim::current_thread->lane();
  const bool reached = lane + delta < cuda_sim::section(width) + static_cast<unsigned>(width);
  return cuda_sim::shuffle(mask, value, reached ? lane + delta : lane, "__shfl_down_sync", place);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_SIM_PLACE) {
  const unsigned bit = predicate != 0 ? 1u << cuda_sim::current_thread->lane() : 0u;
  return cuda_sim::reduce(mask, bit, "__ballot_sync", place, [](unsigned a, unsigned b) { return a | b; });
}
inline int __any_sync(unsigned mask, int predicate, CUDA_SIM_PLACE) {
  return cuda_sim::reduce(mask, predicate != 0, "__any_sync", place, [](int a, int b) { return a | b; });
}
inline int __all_sync(unsigned mask, int predicate, CUDA_SIM_PLACE) {
  return cuda_sim::reduce(mask, predicate != 0, "__all_sync", place, [](int a, int b) { return a & b; });
}

#define CUDA_SIM_REDUCE(name, type, combined) \
  inline type name(unsigned mask, type value, CUDA_SIM_PLACE) {                                        \
    return cuda_sim::reduce(mask, value, #name, place, [](type a, type b) -> type { return combined; }); \
  }
CUDA_SIM_REDUCE(__reduce_add_sync, unsigned, a + b)
CUDA_SIM_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
CUDA_SIM_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
CUDA_SIM_REDUCE(__reduce_and_sync, unsigned, a & b)
CUDA_SIM_REDUCE(__reduce_or_sync, unsigned, a | b)
CUDA_SIM_REDUCE(__reduce_xor_sync, unsigned, a ^ b)
CUDA_SIM_REDUCE(__reduce_add_sync, int, static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
CUDA_SIM_REDUCE(__reduce_min_sync, int, a < b ? a : b)
CUDA_SIM_REDUCE(__reduce_max_sync, int, a > b ? a : b)
#undef CUDA_SIM_REDUCE
#undef CUDA_SIM_PLACE
