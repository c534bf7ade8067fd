// What is a Q4_0 block? 32 weights as 4-bit numbers around zero with one scale.
//
//   f16 d · u4 q[32]            18 bytes; byte j holds q[j] in its low and q[j + 16] in its high half
//   w[i] = d · (q[i] − 8)
import { readF16, writeF16 } from "../float16.ts"

export const dequantizeQ4_0 = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 18, base += 32) {
    const d = readF16(bytes, at)
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 2 + j]!
      out[base + j] = d * ((pair & 15) - 8)
      out[base + j + 16] = d * ((pair >> 4) - 8)
    }
  }
}

/** The value of largest magnitude becomes −8, whatever its sign: d may be negative (ggml's `quantize_row_q4_0_ref`). */
export const quantizeQ4_0 = (values: Float32Array, out: Uint8Array): void => {
  for (let at = 0, base = 0; base < values.length; at += 18, base += 32) {
    let largest = 0
    for (let i = 0; i < 32; i++) {
      const value = values[base + i]!
      if (Math.abs(value) > Math.abs(largest)) largest = value
    }
    const d = largest / -8
    const inverse = d === 0 ? 0 : Math.fround(1 / d)
    writeF16(out, at, d)
    for (let j = 0; j < 16; j++) {
      out[at + 2 + j] = code(values[base + j]!, inverse) | (code(values[base + j + 16]!, inverse) << 4)
    }
  }
}

/** Truncation after adding 8.5 rounds: the sum is never negative. Each step is rounded to float32, as in C. */
const code = (value: number, inverse: number): number =>
  Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5)))
