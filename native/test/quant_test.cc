// Goal: halves convert exactly and every block format decodes to the weights its specification names.
// Method: halves against arithmetic done in double over all 65536 of them and the midpoints between; blocks against expectations written
// from the format's description, weight by weight, in code that shares nothing with quant/ but the conversion of halves.
#include "kernel_inputs.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

// The value of a finite half, from its definition.
double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

// A weight of a block of `type`, i within the block.
float expected_weight(uint32_t type, const uint8_t* b, uint32_t i) {
  const auto half = [&](uint32_t at) { return float_from_f16(static_cast<uint16_t>(b[at] | b[at + 1] << 8)); };
  const auto f = [](int value) { return static_cast<float>(value); };
  const auto nibble_of_32 = [&](uint32_t at) { return i < 16 ? b[at + i] & 15 : b[at + i - 16] >> 4; };
  const auto bit_of_32 = [&](uint32_t at) { return b[at + i / 8] >> (i % 8) & 1; };
  const uint32_t n = i / 128, j = i % 128 / 32, l = i % 32, group = i / 32;
  // Six-bit scales (which = 0) and minimums (which = 1) of Q4_K and Q5_K, whose 12 bytes start at 4.
  const auto six_bits = [&](int which) {
    const uint8_t* q = b + 4;
    if (group < 4) return q[group + 4 * which] & 63;
    const int low = which ? q[group + 4] >> 4 : q[group + 4] & 15;
    return low | (q[group - 4 + 4 * which] >> 6) << 4;
  };
  switch (type) {
    case Q8_0: return f(static_cast<int8_t>(b[2 + i])) * half(0);
    case Q4_0: return f(nibble_of_32(2) - 8) * half(0);
    case Q4_1: return f(nibble_of_32(4)) * half(0) + half(2);
    case Q5_0: return f((nibble_of_32(6) | bit_of_32(2) << 4) - 16) * half(0);
    case Q5_1: return f(nibble_of_32(8) | bit_of_32(4) << 4) * half(0) + half(2);
    case Q2_K: return half(80) * f(b[i / 16] & 15) * f(b[16 + 32 * n + l] >> 2 * j & 3) - half(82) * f(b[i / 16] >> 4);
    case Q3_K: {
      const uint8_t* scales = b + 96;
      const uint32_t s = i / 16;
      const int scale = (s < 8 ? scales[s] & 15 : scales[s - 8] >> 4) + 16 * (scales[8 + s % 4] >> 2 * (s / 4) & 3) - 32;
      return half(108) * f(scale) * f((b[32 + 32 * n + l] >> 2 * j & 3) - (b[l] >> (i / 32) & 1 ? 0 : 4));
    }
    case Q4_K: {
      const int byte = b[16 + 32 * (group / 2) + l];
      return half(0) * f(six_bits(0)) * f(group % 2 ? byte >> 4 : byte & 15) - half(2) * f(six_bits(1));
    }
    case Q5_K: {
      const int byte = b[48 + 32 * (group / 2) + l];
      return half(0) * f(six_bits(0)) * f((group % 2 ? byte >> 4 : byte & 15) + (b[16 + l] >> group & 1) * 16) - half(2) * f(six_bits(1));
    }
    default: {  // Q6_K
      const int byte = b[64 * n + i % 64], nibble = i % 128 < 64 ? byte & 15 : byte >> 4;
      return half(208) * f(static_cast<int8_t>(b[192 + i / 16])) * f((nibble | (b[128 + 32 * n + l] >> 2 * j & 3) << 4) - 32);
    }
  }
}

}  // namespace

TEST("float_from_f16 is exact for every half, and f16_from_float takes it back") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const float value = float_from_f16(half);
    if ((half & 0x7c00) == 0x7c00 && (half & 0x3ff)) {
      CHECK(std::isnan(value));
      CHECK_EQUAL(f16_from_float(value), half | 0x200);
    } else {
      if ((half & 0x7fff) == 0x7c00) CHECK_EQUAL(value, half & 0x8000 ? -INFINITY : INFINITY);
      else CHECK_EQUAL(double{value}, half_value(half));
      CHECK_EQUAL(f16_from_float(value), half);
    }
  }
}

TEST("f16_from_float rounds to the nearest half, ties to even, and overflows from 65520 on") {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = half_value(static_cast<uint16_t>(bits)), high = half_value(static_cast<uint16_t>(bits + 1));
    const float middle = static_cast<float>((low + high) / 2);
    CHECK_EQUAL(f16_from_float(middle), (bits & 1) ? bits + 1 : bits);
    CHECK_EQUAL(f16_from_float(std::nextafter(middle, 0.0f)), bits);
    CHECK_EQUAL(f16_from_float(std::nextafter(middle, INFINITY)), bits + 1);
    CHECK_EQUAL(f16_from_float(-middle), ((bits & 1) ? bits + 1 : bits) | 0x8000);
  }
  CHECK_EQUAL(f16_from_float(65519.996f), 0x7bff);
  CHECK_EQUAL(f16_from_float(65520.0f), 0x7c00);
  CHECK_EQUAL(f16_from_float(-3e38f), 0xfc00);
}

TEST("float_from_bf16 is the upper half of a float") {
  CHECK_EQUAL(float_from_bf16(0x3f80), 1.0f);
  CHECK_EQUAL(float_from_bf16(0xc049), -3.140625f);
}

TEST("dequantize gives every weight of every block format bit for bit (seed 10)") {
  Random random(10);
  for (const uint32_t type : kAllTypes) {
    if (block_weights(type) == 1) continue;
    const uint32_t width = block_weights(type);
    const uint64_t block_bytes = row_bytes(type, width);
    for (const Values values : {Values::kOrdinary, Values::kHostile}) {
      const std::vector<uint8_t> bytes = some_weights(type, uint64_t{width} * 50, random, values);
      const std::vector<float> weights = decoded(type, bytes, uint64_t{width} * 50);
      for (uint32_t i = 0; i < width * 50; ++i)
        CHECK_EQUAL(bits_from_float(weights[i]), bits_from_float(expected_weight(type, bytes.data() + i / width * block_bytes, i % width)));
    }
  }
}

TEST("dequantize reads plain types element by element") {
  const uint16_t halves[] = {0x3c00, 0xc000, 0x0001};
  float weights[3];
  uint32_t isa = 1;
  const Kernels* kernels = kernels_for(isa);
  kernels->dequantize[F16](reinterpret_cast<const uint8_t*>(halves), weights, 3);
  CHECK_EQUAL(weights[0], 1.0f);
  CHECK_EQUAL(weights[1], -2.0f);
  CHECK_EQUAL(weights[2], 0x1p-24f);
  kernels->dequantize[BF16](reinterpret_cast<const uint8_t*>(halves), weights, 3);
  CHECK_EQUAL(weights[0], 0.0078125f);
  const float floats[] = {1.5f, -0.0f, 7e-42f};
  kernels->dequantize[F32](reinterpret_cast<const uint8_t*>(floats), weights, 3);
  CHECK(std::memcmp(weights, floats, sizeof floats) == 0);
}

TEST("row_bytes is the file's row size, and 0 for unknown types and broken blocks") {
  CHECK_EQUAL(row_bytes(F32, 7), uint64_t{28});
  CHECK_EQUAL(row_bytes(Q8_0, 64), uint64_t{68});
  CHECK_EQUAL(row_bytes(Q6_K, 512), uint64_t{420});
  CHECK_EQUAL(row_bytes(Q8_0, 33), uint64_t{0});
  CHECK_EQUAL(row_bytes(Q6_K, 32), uint64_t{0});
  CHECK_EQUAL(row_bytes(9, 32), uint64_t{0});
  CHECK_EQUAL(row_bytes(1000, 32), uint64_t{0});
}
