// What AddressSanitizer has to be told: which stack runs, and which bytes of a mapping nobody may touch.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define CUDA_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUDA_SIM_ASAN 1
#endif
#endif
#ifndef CUDA_SIM_ASAN
#define CUDA_SIM_ASAN 0
#endif

#if CUDA_SIM_ASAN
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* stack, size_t bytes);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** previous_stack, size_t* previous_bytes);
void __asan_poison_memory_region(const volatile void* address, size_t bytes);
void __asan_unpoison_memory_region(const volatile void* address, size_t bytes);
}
#endif

namespace cuda_sim {

inline void forbid([[maybe_unused]] const void* address, [[maybe_unused]] size_t bytes) {
#if CUDA_SIM_ASAN
  __asan_poison_memory_region(address, bytes);
#endif
}
inline void permit([[maybe_unused]] const void* address, [[maybe_unused]] size_t bytes) {
#if CUDA_SIM_ASAN
  __asan_unpoison_memory_region(address, bytes);
#endif
}

}  // namespace cuda_sim
