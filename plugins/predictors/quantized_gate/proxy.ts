// Which two or three bits a weight say best where a gate is above zero?
import { f16ToF32, f32ToF16 } from "@powerinfer/core"

/** Weights that share a scale, and what they take (G2 and G3 of the native library). */
export const groupWeights = 64
export const groupBytes = { 2: 18, 3: 26 } as const

/** Bits of a weight's code. */
export type ProxyBits = keyof typeof groupBytes

/** The step between two levels that loses least of a normal distribution, in deviations (Max, 1960); half of it is the scale, because levels are odd. */
const bestStep: { readonly [Bits in ProxyBits]: number } = { 2: 0.9957, 3: 0.586 }
/** Rounds of fitting the codes to the scale and the scale to the codes; a third changes nothing that shows. */
const fittingRounds = 2

/** A gate in few bits. */
export interface Proxy {
  /** [rows, width rounded up to whole groups]: a half, then 64 codes, as powerinfer.h says. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** By row, the length of what was lost: |gate - proxy|. */
  readonly errors: Float64Array
}

/** Bytes of one row of a proxy. */
export const proxyRowBytes = (bits: ProxyBits, width: number): number =>
  Math.ceil(width / groupWeights) * groupBytes[bits]

/**
 * Quantizes a gate, row by row: weight ≈ scale · (2 code - (2^bits - 1)), by least squares in every group of 64.
 *
 * - `weights`  f32[rows, width]
 * - cost       about 10 ns a weight
 */
export const quantizeGate = (weights: Float32Array, width: number, bits: ProxyBits): Proxy => {
  const rows = weights.length / width
  const rowBytes = proxyRowBytes(bits, width)
  const bytes = new Uint8Array(new ArrayBuffer(rows * rowBytes))
  const errors = new Float64Array(rows)
  const group = new Float32Array(groupWeights)
  const levels = new Int32Array(groupWeights)
  for (let row = 0; row < rows; row++) {
    let squares = 0
    for (let first = 0; first < width; first += groupWeights) {
      const count = Math.min(groupWeights, width - first)
      group.fill(0)
      group.set(weights.subarray(row * width + first, row * width + first + count))
      const half = fitGroup(group, count, bits, levels)
      const scale = f16ToF32(half)
      for (let i = 0; i < count; i++) squares += (group[i]! - scale * levels[i]!) ** 2
      writeGroup(bytes, row * rowBytes + (first / groupWeights) * groupBytes[bits], half, levels, bits)
    }
    errors[row] = Math.sqrt(squares)
  }
  return { bytes, errors }
}

/** Writes the level of each weight, odd numbers from -largest to largest, and returns their scale as a half. */
const fitGroup = (group: Float32Array, count: number, bits: ProxyBits, levels: Int32Array): number => {
  const largest = 2 ** bits - 1
  let squares = 0
  for (let i = 0; i < count; i++) squares += group[i]! * group[i]!
  let scale = (Math.sqrt(squares / count) * bestStep[bits]) / 2
  for (let round = 0; round < fittingRounds; round++) {
    const inverse = scale > 0 ? 1 / scale : 0
    let products = 0
    let lengths = 0
    for (let i = 0; i < groupWeights; i++) {
      const code = Math.round((group[i]! * inverse + largest) / 2)
      const level = 2 * Math.min(largest, Math.max(0, code)) - largest
      levels[i] = level
      if (i >= count) continue
      products += group[i]! * level
      lengths += level * level
    }
    scale = products / lengths
  }
  return f32ToF16(scale)
}

const writeGroup = (bytes: Uint8Array, at: number, half: number, levels: Int32Array, bits: ProxyBits): void => {
  const largest = 2 ** bits - 1
  bytes[at] = half & 255
  bytes[at + 1] = half >> 8
  for (let i = 0; i < groupWeights; i++) {
    const code = (levels[i]! + largest) / 2
    bytes[at + 2 + (i % 16)]! |= (code & 3) << (2 * (i >> 4))
    if (bits === 3) bytes[at + 18 + (i % 8)]! |= (code >> 2) << (i >> 3)
  }
}
