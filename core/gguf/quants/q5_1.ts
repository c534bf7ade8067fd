// What is a Q5_1 block? 32 weights as 5-bit steps above a minimum.
//
//   f16 d · f16 m · u1 h[32] · u4 l[32]    24 bytes; byte j holds l[j] in its low and l[j + 16] in its high half
//   q[i] = l[i] + 16 · h[i]
//   w[i] = d · q[i] + m
import { readF16 } from "../float16.ts"
import { fifthBit } from "./q5_0.ts"

export const dequantizeQ5_1 = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 24, base += 32) {
    const d = readF16(bytes, at)
    const m = readF16(bytes, at + 2)
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 8 + j]!
      out[base + j] = d * ((pair & 15) | fifthBit(bytes, at + 4, j)) + m
      out[base + j + 16] = d * ((pair >> 4) | fifthBit(bytes, at + 4, j + 16)) + m
    }
  }
}
