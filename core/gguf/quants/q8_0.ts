// What is a Q8_0 block? 32 weights as signed bytes with one scale.
//
//   f16 d · i8 q[32]            34 bytes
//   w[i] = d · q[i]
import { readF16, writeF16 } from "../float16.ts"

export const dequantizeQ8_0 = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 34, base += 32) {
    const d = readF16(bytes, at)
    for (let i = 0; i < 32; i++) out[base + i] = d * ((bytes[at + 2 + i]! << 24) >> 24)
  }
}

/** The largest magnitude becomes ±127; ties round away from zero (ggml's `quantize_row_q8_0_ref`). */
export const quantizeQ8_0 = (values: Float32Array, out: Uint8Array): void => {
  for (let at = 0, base = 0; base < values.length; at += 34, base += 32) {
    let largest = 0
    for (let i = 0; i < 32; i++) {
      const magnitude = Math.abs(values[base + i]!)
      if (magnitude > largest) largest = magnitude
    }
    const d = Math.fround(largest / 127)
    const inverse = d === 0 ? 0 : Math.fround(1 / d)
    writeF16(out, at, d)
    for (let i = 0; i < 32; i++) {
      const steps = Math.fround(values[base + i]! * inverse)
      // Cutting off the fraction after half a step away from zero rounds ties away from it.
      out[at + 2 + i] = steps < 0 ? (steps - 0.5) | 0 : (steps + 0.5) | 0
    }
  }
}
