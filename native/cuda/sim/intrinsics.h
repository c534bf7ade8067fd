// CUDA's device functions that concern one thread alone: bits, integers, floats, loads.
//
// Those that a GPU computes approximately are as exact here as the C library: that a tolerance is wide enough for a GPU is not shown.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

// ---- bits and integers ----
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
  return reversed;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}
// Each of the four selectors names one of the eight bytes of y:x; bit 3 of a selector spreads that byte's sign.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selectors) {
  const uint64_t bytes = uint64_t{y} << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned selector = selectors >> 4 * i & 15u;
    unsigned byte = static_cast<unsigned>(bytes >> 8 * (selector & 7u)) & 0xffu;
    if (selector & 8u) byte = byte & 0x80u ? 0xffu : 0u;
    result |= byte << 8 * i;
  }
  return result;
}
inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 4; ++i) sum += static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
  return sum;
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
  for (int i = 0; i < 4; ++i) sum += static_cast<uint8_t>(a >> 8 * i) * static_cast<uint8_t>(b >> 8 * i);
  return sum;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline unsigned __vadd4(unsigned a, unsigned b) { return ((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u); }
inline unsigned __vsub4(unsigned a, unsigned b) { return ((a | 0x80808080u) - (b & 0x7f7f7f7fu)) ^ ((a ^ ~b) & 0x80808080u); }
inline unsigned __vsubss4(unsigned a, unsigned b) {
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const int difference = static_cast<int8_t>(a >> 8 * i) - static_cast<int8_t>(b >> 8 * i);
    const int saturated = difference < -128 ? -128 : difference > 127 ? 127 : difference;
    result |= static_cast<unsigned>(saturated & 0xff) << 8 * i;
  }
  return result;
}

// ---- the same bits as another type ----
namespace cuda_sim {
template <class To, class From>
To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}
}  // namespace cuda_sim
inline int __float_as_int(float x) { return cuda_sim::bits_as<int>(x); }
inline unsigned __float_as_uint(float x) { return cuda_sim::bits_as<unsigned>(x); }
inline float __int_as_float(int x) { return cuda_sim::bits_as<float>(x); }
inline float __uint_as_float(unsigned x) { return cuda_sim::bits_as<float>(x); }

// ---- floats ----
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }  // NaN becomes zero
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __frsqrt_rn(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))); }
inline int __float2int_rn(float x) { return static_cast<int>(std::lrint(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

// The C library has functions of these names for its own use, so they are given to kernels as macros.
namespace cuda_sim {
inline float fast_exp(float x) { return std::exp(x); }
inline float fast_log(float x) { return std::log(x); }
inline float fast_sin(float x) { return std::sin(x); }
inline float fast_cos(float x) { return std::cos(x); }
inline float fast_pow(float x, float y) { return std::pow(x, y); }
}  // namespace cuda_sim
#define __expf cuda_sim::fast_exp
#define __logf cuda_sim::fast_log
#define __sinf cuda_sim::fast_sin
#define __cosf cuda_sim::fast_cos
#define __powf cuda_sim::fast_pow

// ---- loads through other caches ----
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldca(const T* p) { return *p; }
template <class T> void __stcs(T* p, T value) { *p = value; }
template <class T> void __stcg(T* p, T value) { *p = value; }

// ---- min and max, for the pairs of types that CUDA has them for ----
namespace cuda_sim {
template <class T> T smaller(T a, T b) { return b < a ? b : a; }
template <class T> T larger(T a, T b) { return a < b ? b : a; }
}  // namespace cuda_sim
#define CUDA_SIM_MIN_MAX(type, a_type, b_type)                                 \
  inline type min(a_type a, b_type b) { return cuda_sim::smaller<type>(a, b); } \
  inline type max(a_type a, b_type b) { return cuda_sim::larger<type>(a, b); }
CUDA_SIM_MIN_MAX(int, int, int)
CUDA_SIM_MIN_MAX(unsigned, unsigned, unsigned)
CUDA_SIM_MIN_MAX(unsigned, int, unsigned)
CUDA_SIM_MIN_MAX(unsigned, unsigned, int)
CUDA_SIM_MIN_MAX(long, long, long)
CUDA_SIM_MIN_MAX(unsigned long, unsigned long, unsigned long)
CUDA_SIM_MIN_MAX(unsigned long, long, unsigned long)
CUDA_SIM_MIN_MAX(unsigned long, unsigned long, long)
CUDA_SIM_MIN_MAX(long long, long long, long long)
CUDA_SIM_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
#undef CUDA_SIM_MIN_MAX
// Of a number and a NaN, the number: as fminf and fmaxf.
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
