// CUDA's small vectors: sizes, alignments and names as in vector_types.h of the toolkit.
#pragma once

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

#define CUDA_SIM_VECTORS(name, type)                                                                     \
  struct alignas(2 * sizeof(type)) name##2 {                                                             \
    type x, y;                                                                                           \
  };                                                                                                     \
  struct alignas(4 * sizeof(type)) name##4 {                                                             \
    type x, y, z, w;                                                                                     \
  };                                                                                                     \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                       \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

CUDA_SIM_VECTORS(char, signed char)
CUDA_SIM_VECTORS(uchar, unsigned char)
CUDA_SIM_VECTORS(short, short)
CUDA_SIM_VECTORS(ushort, unsigned short)
CUDA_SIM_VECTORS(int, int)
CUDA_SIM_VECTORS(uint, unsigned)
CUDA_SIM_VECTORS(float, float)
#undef CUDA_SIM_VECTORS

struct alignas(16) double2 {
  double x, y;
};
struct alignas(16) longlong2 {
  long long x, y;
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
inline double2 make_double2(double x, double y) { return {x, y}; }
inline longlong2 make_longlong2(long long x, long long y) { return {x, y}; }
inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }
