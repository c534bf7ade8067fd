// How 16-bit floats become 32-bit ones and back, exactly, on any machine.
#pragma once
#include <cstdint>
#include <cstring>

namespace powerinfer {

inline float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_from_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// IEEE binary16 to binary32: exact; a signalling NaN becomes quiet, as F16C makes it.
inline float float_from_f16(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t fraction = half & 0x3ffu;
  if (exponent == 0x1f) return float_from_bits(sign | 0x7f800000u | (fraction << 13) | (fraction ? 0x400000u : 0u));
  if (exponent != 0) return float_from_bits(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return float_from_bits(sign | bits_from_float(magnitude));
}

// Binary32 to binary16, round to nearest even; too large becomes infinity, NaN stays (quiet) NaN.
inline uint16_t f16_from_float(float value) {
  const uint32_t bits = bits_from_float(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520, half a step above the largest half
  if (magnitude < 0x38800000u) {
    // Below 2^-14 halves are multiples of 2^-24. Adding 0.5 puts that step at the last bit of the sum, which rounds for us.
    const float shifted = float_from_bits(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bits_from_float(shifted) - bits_from_float(0.5f)));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

// A bfloat16 is the upper half of a binary32.
inline float float_from_bf16(uint16_t half) { return float_from_bits(uint32_t{half} << 16); }

}  // namespace powerinfer
