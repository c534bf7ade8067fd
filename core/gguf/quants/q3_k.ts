// What is a Q3_K block? 256 weights as 3-bit numbers around zero, 16 groups of 16 with 6-bit scales.
//
//   u1 h[256] · u2 l[256] · u6 s[16] · f16 d    110 bytes
//   q[i] = l[i] + 4 · h[i]
//   w[i] = (d · (s[g] − 32)) · (q[i] − 4)              g = i / 16
//
// l is stored as in Q2_K. h: bit b of byte j belongs to weight 32 · b + j. s: the low four bits of s[g] are half a byte
// of the first 8 (low halves 0 to 7, high halves 8 to 15), its upper two are bits 2 · (g / 4) of byte 8 + g % 4.
import { readF16 } from "../float16.ts"
import { quantOffset, quantShift } from "./q2_k.ts"

export const dequantizeQ3_K = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 110, base += 256) {
    const d = readF16(bytes, at + 108)
    for (let group = 0; group < 16; group++) {
      const scale = d * (groupScale(bytes, at + 96, group) - 32)
      const highs = at + (group & 1) * 16
      const highBit = group >> 1
      const lows = at + 32 + quantOffset(group)
      const shift = quantShift(group)
      for (let i = 0; i < 16; i++) {
        const high = (bytes[highs + i]! >> highBit) & 1
        out[base + group * 16 + i] = scale * (((bytes[lows + i]! >> shift) & 3) + 4 * high - 4)
      }
    }
  }
}

const groupScale = (bytes: Uint8Array, at: number, group: number): number => {
  const low = group < 8 ? bytes[at + group]! & 15 : bytes[at + group - 8]! >> 4
  const high = (bytes[at + 8 + (group & 3)]! >> (2 * (group >> 2))) & 3
  return low | (high << 4)
}
