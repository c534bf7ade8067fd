// What earlier positions left for later ones to attend to.
import { type CacheType, dequantize, quantize } from "@powerinfer/core"

/** Keys and values of one session: f32[position_count, kv_width] a block, already rounded to what the cache's type can hold. */
export interface KvCache {
  readonly positionCount: number
  readonly type: CacheType
  readonly keys: ReadonlyArray<Float32Array>
  readonly values: ReadonlyArray<Float32Array>
}

/** Throws a RangeError if JavaScript cannot hold it. */
export const allocateCache = (blockCount: number, positionCount: number, kvWidth: number, type: CacheType): KvCache => {
  const tables = () => Array.from({ length: blockCount }, () => new Float32Array(positionCount * kvWidth))
  return { positionCount, type, keys: tables(), values: tables() }
}

const tensorType = { f16: "F16", q8_0: "Q8_0" } as const

/** Copies one position's keys or values into `table`, rounded as the cache's type rounds. */
export const storePosition = (
  table: Float32Array,
  type: CacheType,
  position: number,
  from: Float32Array,
  at: number,
  width: number
): void => {
  const values = from.subarray(at, at + width)
  const stored = table.subarray(position * width, (position + 1) * width)
  if (type === "f32") stored.set(values)
  else dequantize(tensorType[type], quantize(tensorType[type], values), stored)
}

/**
 * Attention of one query head to positions 0 … positionCount − 1 of its key and value head.
 *
 * out = Σ softmax(q · kᵖ / √width)ₚ · vᵖ
 *
 * - `keys`, `values`  f32[position_count, kv_width]; the head's part of a position starts at `headAt`
 * - `scores`          f64[position_count], scratch
 */
export const attendHead = (
  head: { readonly q: Float32Array; readonly at: number; readonly width: number },
  kv: { readonly keys: Float32Array; readonly values: Float32Array; readonly kvWidth: number; readonly headAt: number },
  positionCount: number,
  scores: Float64Array,
  out: Float32Array,
  outAt: number
): void => {
  let highest = -Infinity
  for (let position = 0; position < positionCount; position++) {
    let score = 0
    const key = position * kv.kvWidth + kv.headAt
    for (let i = 0; i < head.width; i++) score += head.q[head.at + i]! * kv.keys[key + i]!
    scores[position] = score / Math.sqrt(head.width)
    highest = Math.max(highest, scores[position]!)
  }
  let total = 0
  for (let position = 0; position < positionCount; position++) {
    scores[position] = Math.exp(scores[position]! - highest)
    total += scores[position]!
  }
  for (let i = 0; i < head.width; i++) {
    let sum = 0
    for (let position = 0; position < positionCount; position++) {
      sum += scores[position]! * kv.values[position * kv.kvWidth + kv.headAt + i]!
    }
    out[outAt + i] = sum / total
  }
}
