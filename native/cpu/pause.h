// What a thread does between two looks at a word that another one writes: it leaves the core's other half to whoever works there.
#pragma once
#include "kernels/target.h"

namespace powerinfer {

inline void pause() {
#if POWERINFER_X86
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb");
#endif
}

}  // namespace powerinfer
