// What is a Q4_1 block? 32 weights as 4-bit steps above a minimum.
//
//   f16 d · f16 m · u4 q[32]    20 bytes; byte j holds q[j] in its low and q[j + 16] in its high half
//   w[i] = d · q[i] + m
import { readF16 } from "../float16.ts"

export const dequantizeQ4_1 = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 20, base += 32) {
    const d = readF16(bytes, at)
    const m = readF16(bytes, at + 2)
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 4 + j]!
      out[base + j] = d * (pair & 15) + m
      out[base + j + 16] = d * (pair >> 4) + m
    }
  }
}
