// What is a Q2_K block? 256 weights as 2-bit steps above a minimum, 16 groups of 16 with 4-bit scales and minimums.
//
//   u8 s[16] · u2 q[256] · f16 d · f16 dmin    84 bytes
//   scale[g] = s[g] & 15, min[g] = s[g] >> 4
//   w[i] = (d · scale[g]) · q[i] − dmin · min[g]       g = i / 16
//
// Each half of 128 weights has 32 bytes: byte j holds q[j], q[j + 32], q[j + 64], q[j + 96] from its lowest bits up.
import { readF16 } from "../float16.ts"

export const dequantizeQ2_K = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 84, base += 256) {
    const d = readF16(bytes, at + 80)
    const dmin = readF16(bytes, at + 82)
    for (let group = 0; group < 16; group++) {
      const packed = bytes[at + group]!
      const scale = d * (packed & 15)
      const min = dmin * (packed >> 4)
      const quants = at + 16 + quantOffset(group)
      const shift = quantShift(group)
      for (let i = 0; i < 16; i++) out[base + group * 16 + i] = scale * ((bytes[quants + i]! >> shift) & 3) - min
    }
  }
}

/** Where the 2-bit numbers of a group of 16 start: groups alternate between the 16-byte halves of their 32 bytes. */
export const quantOffset = (group: number): number => (group >> 3) * 32 + (group & 1) * 16

/** Which two bits of those bytes belong to the group. Q3_K stores its low bits alike. */
export const quantShift = (group: number): number => group & 6
