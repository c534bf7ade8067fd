// How do 16-bit floats widen to float32, and float32 narrow to them?

// One value seen as bits and as a float. Single-threaded within a realm, so it can be shared.
const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** The float32 with the value of the IEEE binary16 `half` (u16). Exact, subnormals, infinities and NaN included. */
export const f16ToF32 = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  // The exponent's bias is 15 in a half and 127 in a float.
  bits[0] = ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13)
  return float[0]!
}

/** The binary16 (u16) nearest to `value`, ties to even; too large is infinite, NaN is 0x7e00 with its sign. */
export const f32ToF16 = (value: number): number => {
  float[0] = value
  const sign = (bits[0]! >>> 16) & 0x8000
  const magnitude = bits[0]! & 0x7fff_ffff
  if (magnitude > 0x7f80_0000) return sign | 0x7e00
  // 65520 lies halfway between the largest half, 65504, and the next power of two.
  if (magnitude >= 0x477f_f000) return sign | 0x7c00
  if (magnitude < 0x3880_0000) {
    // Below 2⁻¹⁴ halves are multiples of 2⁻²⁴, and so are the float32 from 0.5 on: adding 0.5 rounds to one, ties to even.
    bits[0] = magnitude
    float[0] = float[0]! + 0.5
    return sign | (bits[0]! - 0x3f00_0000)
  }
  // Drop 13 bits: just below half, plus one if the lowest bit that stays is odd. A carry may reach the exponent.
  return sign | ((magnitude - (112 << 23) + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** The float32 whose upper half is `upper` (u16). Exact. */
export const bf16ToF32 = (upper: number): number => {
  bits[0] = upper << 16
  return float[0]!
}

/** The bfloat16 (u16) nearest to `value`, ties to even; a NaN stays one. */
export const f32ToBf16 = (value: number): number => {
  float[0] = value
  const all = bits[0]!
  if ((all & 0x7fff_ffff) > 0x7f80_0000) return (all >>> 16) | 64
  return ((all + 0x7fff + ((all >>> 16) & 1)) >>> 16) & 0xffff
}

/** The binary16 stored at `at`, little-endian, as a float32. */
export const readF16 = (bytes: Uint8Array, at: number): number => f16ToF32(bytes[at]! | (bytes[at + 1]! << 8))

/** Stores the binary16 nearest to `value` at `at`, little-endian. Returns the float32 that was stored. */
export const writeF16 = (bytes: Uint8Array, at: number, value: number): number => {
  const half = f32ToF16(value)
  bytes[at] = half & 0xff
  bytes[at + 1] = half >> 8
  return f16ToF32(half)
}
