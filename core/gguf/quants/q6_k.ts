// What is a Q6_K block? 256 weights as 6-bit numbers around zero, 16 groups of 16 with 8-bit scales.
//
//   u4 l[256] · u2 h[256] · i8 s[16] · f16 d    210 bytes
//   q[i] = l[i] + 16 · h[i]
//   w[i] = (d · s[g]) · (q[i] − 32)                    g = i / 16
//
// Each half of 128 weights, four rows of 32, has 64 bytes of l and 32 of h. Byte j of l holds rows 0 (low) and 2 (high),
// byte j + 32 rows 1 and 3; byte j of h holds rows 0 to 3 from its lowest bits up.
import { readF16, writeF16 } from "../float16.ts"

export const dequantizeQ6_K = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 210, base += 256) {
    const d = readF16(bytes, at + 208)
    for (let row = 0; row < 8; row++) {
      const { lows, lowShift, highs, highShift } = placeOf(at, row)
      for (let i = 0; i < 32; i++) {
        const scale = d * ((bytes[at + 192 + row * 2 + (i >> 4)]! << 24) >> 24)
        const code = ((bytes[lows + i]! >> lowShift) & 15) | (((bytes[highs + i]! >> highShift) & 3) << 4)
        out[base + row * 32 + i] = scale * (code - 32)
      }
    }
  }
}

/**
 * The value of largest magnitude of each group becomes −32. Valid, not optimal: ggml's `quantize_row_q6_K_ref` also
 * searches for the scale of least squared error.
 */
export const quantizeQ6_K = (values: Float32Array, out: Uint8Array): void => {
  const scales = new Float32Array(16)
  for (let at = 0, base = 0; base < values.length; at += 210, base += 256) {
    out.fill(0, at, at + 210)
    let largestScale = 0
    for (let group = 0; group < 16; group++) {
      let largest = 0
      for (let i = 0; i < 16; i++) {
        const value = values[base + group * 16 + i]!
        if (Math.abs(value) > Math.abs(largest)) largest = value
      }
      const scale = largest / -32
      scales[group] = scale
      if (Math.abs(scale) > Math.abs(largestScale)) largestScale = scale
    }
    const d = writeF16(out, at + 208, largestScale / -128)
    for (let group = 0; group < 16; group++) {
      const steps = d === 0 ? 0 : Math.round(scales[group]! / d)
      out[at + 192 + group] = Math.max(-128, Math.min(127, steps))
    }
    for (let row = 0; row < 8; row++) {
      const { lows, lowShift, highs, highShift } = placeOf(at, row)
      for (let i = 0; i < 32; i++) {
        const scale = d * ((out[at + 192 + row * 2 + (i >> 4)]! << 24) >> 24)
        const steps = scale === 0 ? 0 : Math.round(values[base + row * 32 + i]! / scale)
        const code = Math.max(-32, Math.min(31, steps)) + 32
        out[lows + i]! |= (code & 15) << lowShift
        out[highs + i]! |= (code >> 4) << highShift
      }
    }
  }
}

/** Where the bits of a row of 32 weights (0 to 7) of the block at `at` lie. */
const placeOf = (at: number, row: number) => {
  const half = row >> 2
  return {
    lows: at + half * 64 + (row & 1) * 32,
    lowShift: (row & 2) * 2,
    highs: at + 128 + half * 32,
    highShift: (row & 3) * 2
  }
}
