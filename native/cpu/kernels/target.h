// Which instruction sets this build has variants for, and what a function of each may use.
// Attributes are per function, so that everything else runs on any CPU of the family.
#pragma once

#if defined(__x86_64__) && !defined(POWERINFER_SCALAR_ONLY)
#define POWERINFER_X86 1
// gcc 12 calls the deliberately undefined operands inside its own intrinsics uninitialized (its bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
// A loop over an array of registers: unless it disappears early, gcc keeps the array in memory (measured: half the speed).
#define FOR_REGISTERS(i, count) _Pragma("GCC unroll 16") for (uint32_t i = 0; i < (count); ++i)
#define POWERINFER_INLINE inline __attribute__((always_inline))
#define TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define TARGET_AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_VNNI __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

#include <cstdint>

namespace powerinfer {

// The first `count` lanes; all 16 if there are more.
inline __mmask16 first_lanes(uint32_t count) { return static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << count) - 1); }

}  // namespace powerinfer
#endif
