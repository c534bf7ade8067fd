// What is a Q5_K block? 256 weights as 5-bit steps above a minimum, 8 groups of 32 with 6-bit scales and minimums.
//
//   f16 d · f16 dmin · 12 bytes of scales and minimums (scale_min.ts) · u1 h[256] · u4 l[256]    176 bytes
//   q[i] = l[i] + 16 · h[i]
//   w[i] = (d · scale[g]) · q[i] − dmin · min[g]       g = i / 32
//
// l is stored as q in Q4_K. h: bit g of byte j belongs to weight j of group g.
import { readF16 } from "../float16.ts"
import { packedMin, packedScale } from "./scale_min.ts"

export const dequantizeQ5_K = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 176, base += 256) {
    const d = readF16(bytes, at)
    const dmin = readF16(bytes, at + 2)
    for (let group = 0; group < 8; group++) {
      const scale = d * packedScale(bytes, at + 4, group)
      const min = dmin * packedMin(bytes, at + 4, group)
      const highs = at + 16
      const lows = at + 48 + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let i = 0; i < 32; i++) {
        const high = (bytes[highs + i]! >> group) & 1
        out[base + group * 32 + i] = scale * (((bytes[lows + i]! >> shift) & 15) + 16 * high) - min
      }
    }
  }
}
