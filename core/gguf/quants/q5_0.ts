// What is a Q5_0 block? 32 weights as 5-bit numbers around zero with one scale.
//
//   f16 d · u1 h[32] · u4 l[32]    22 bytes; byte j holds l[j] in its low and l[j + 16] in its high half
//   q[i] = l[i] + 16 · h[i]
//   w[i] = d · (q[i] − 16)
import { readF16 } from "../float16.ts"

export const dequantizeQ5_0 = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 22, base += 32) {
    const d = readF16(bytes, at)
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 6 + j]!
      out[base + j] = d * (((pair & 15) | fifthBit(bytes, at + 2, j)) - 16)
      out[base + j + 16] = d * (((pair >> 4) | fifthBit(bytes, at + 2, j + 16)) - 16)
    }
  }
}

/** Bit i of the 32 that start at `at`, moved to the place of a fifth bit. Q5_1 stores its bits alike. */
export const fifthBit = (bytes: Uint8Array, at: number, i: number): number =>
  ((bytes[at + (i >> 3)]! >> (i & 7)) & 1) << 4
