// What is a Q4_K block? 256 weights as 4-bit steps above a minimum, 8 groups of 32 with 6-bit scales and minimums.
//
//   f16 d · f16 dmin · 12 bytes of scales and minimums (scale_min.ts) · u4 q[256]    144 bytes
//   w[i] = (d · scale[g]) · q[i] − dmin · min[g]       g = i / 32
//
// Each 64 weights have 32 bytes: byte j holds q[j] in its low and q[j + 32] in its high half.
import { readF16, writeF16 } from "../float16.ts"
import { packedMin, packedScale, packScalesAndMins } from "./scale_min.ts"

export const dequantizeQ4_K = (bytes: Uint8Array, out: Float32Array): void => {
  for (let at = 0, base = 0; base < out.length; at += 144, base += 256) {
    const d = readF16(bytes, at)
    const dmin = readF16(bytes, at + 2)
    for (let group = 0; group < 8; group++) {
      const scale = d * packedScale(bytes, at + 4, group)
      const min = dmin * packedMin(bytes, at + 4, group)
      const quants = at + 16 + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let i = 0; i < 32; i++) out[base + group * 32 + i] = scale * ((bytes[quants + i]! >> shift) & 15) - min
    }
  }
}

/**
 * Spreads the 16 steps of each group over its range, zero included. Valid, not optimal: ggml's `quantize_row_q4_K_ref`
 * also searches for the scale of least squared error.
 */
export const quantizeQ4_K = (values: Float32Array, out: Uint8Array): void => {
  const ranges = new Float32Array(8)
  const depths = new Float32Array(8)
  const scales = new Uint8Array(8)
  const mins = new Uint8Array(8)
  for (let at = 0, base = 0; base < values.length; at += 144, base += 256) {
    let largestRange = 0
    let largestDepth = 0
    for (let group = 0; group < 8; group++) {
      let min = 0
      let max = 0
      for (let i = base + group * 32; i < base + group * 32 + 32; i++) {
        const value = values[i]!
        if (value < min) min = value
        else if (value > max) max = value
      }
      ranges[group] = (max - min) / 15
      depths[group] = -min
      largestRange = Math.max(largestRange, ranges[group]!)
      largestDepth = Math.max(largestDepth, -min)
    }
    const d = writeF16(out, at, largestRange / 63)
    const dmin = writeF16(out, at + 2, largestDepth / 63)
    for (let group = 0; group < 8; group++) {
      scales[group] = sixBits(ranges[group]!, d)
      mins[group] = sixBits(depths[group]!, dmin)
    }
    packScalesAndMins(out, at + 4, scales, mins)
    for (let group = 0; group < 8; group++) {
      const scale = d * scales[group]!
      const inverse = scale === 0 ? 0 : 1 / scale
      // Half a step more, so that cutting off the fraction rounds.
      const above = dmin * mins[group]! * inverse + 0.5
      const quants = at + 16 + (group >> 1) * 32
      const isUpper = (group & 1) === 1
      for (let i = 0; i < 32; i++) {
        const steps = values[base + group * 32 + i]! * inverse + above
        const code = steps < 0 ? 0 : steps > 15 ? 15 : steps | 0
        // The even group of a pair comes first and sets its bytes afresh.
        out[quants + i] = isUpper ? out[quants + i]! | (code << 4) : code
      }
    }
  }
}

const sixBits = (value: number, unit: number): number => (unit === 0 ? 0 : Math.min(63, Math.round(value / unit)))
