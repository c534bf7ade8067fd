// What ThreadSanitizer has to be told to see the races between the threads of a kernel: who waits for whom, and what is not the kernel's doing.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define CUDA_SIM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CUDA_SIM_TSAN 1
#endif
#endif
#ifndef CUDA_SIM_TSAN
#define CUDA_SIM_TSAN 0
#endif

#if CUDA_SIM_TSAN
extern "C" {
void __tsan_acquire(void*);
void __tsan_release(void*);
void __tsan_ignore_thread_begin();
void __tsan_ignore_thread_end();
}
#endif

namespace cuda_sim {

// What was done before happens_before(token) is visible to who has since passed happens_after(token).
inline void happens_before([[maybe_unused]] void* token) {
#if CUDA_SIM_TSAN
  __tsan_release(token);
#endif
}
inline void happens_after([[maybe_unused]] void* token) {
#if CUDA_SIM_TSAN
  __tsan_acquire(token);
#endif
}

// While one lives, what the running thread reads and writes is the simulator's, not the kernel's.
class Unobserved {
 public:
#if CUDA_SIM_TSAN
  Unobserved() { __tsan_ignore_thread_begin(); }
  ~Unobserved() { __tsan_ignore_thread_end(); }
#else
  Unobserved() {}
  ~Unobserved() {}
#endif
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
};

// A memory fence. ThreadSanitizer knows none, so to it all fences meet at one place: it misses races that only a fence too few allows.
inline void fence() {
#if CUDA_SIM_TSAN
  static char all_fences;
  happens_before(&all_fences);
  happens_after(&all_fences);
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

}  // namespace cuda_sim
