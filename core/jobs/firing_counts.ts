// How often did each neuron fire so far, how strongly, and how alike were the sets of consecutive tokens?
import type { ActivationProfile } from "../artifacts/activation_profile.ts"
import { hotNeurons, overlapOf } from "../artifacts/power_law.ts"
import { popCount } from "../neuron_set.ts"

/** What makes most of the activations counts as hot: PowerInfer's measure (arXiv:2312.12456, figure 5). */
const hotShare = 0.8

/** Rows of one block. Arrays hold `rowCount` rows, or more of which the first count. */
export interface ObservedRows {
  readonly rowCount: number
  /** u32[row_count]: the row's place in its window. */
  readonly positions: Uint32Array
  /** f32[row_count, ffn_width] */
  readonly activations: Float32Array
  /** Written: bit n of a row's words says that neuron n fired. u32[row_count, ceil(ffn_width / 32)]. */
  readonly active: Uint32Array
}

/**
 * Sums over everything that was run. Numbers of the same rows in the same order are the same to the last bit, however often they were saved and
 * restored in between.
 */
export interface FiringCounts {
  /** Counts rows of a block, and says in `rows.active` which neurons fired. Rows of a window come in order. */
  observe(corpus: number, block: number, rows: ObservedRows): void
  /** Of the activation profile, in the order of the blocks. */
  blocks(): ActivationProfile["blocks"]
  /** Everything, for `restore`. Between two windows. */
  save(): Uint8Array<ArrayBuffer>
  /** Takes up what `save` returned; false if it was of other blocks, neurons or corpora. */
  restore(saved: Uint8Array): boolean
}

/** `threshold`: a neuron fires if |activation| is above this share of the root mean square of its row; 0: if it is not zero. */
export const openFiringCounts = (shape: {
  readonly blockCount: number
  readonly ffnWidth: number
  readonly corpusCount: number
  readonly threshold: number
}): FiringCounts => {
  const { blockCount, ffnWidth, corpusCount, threshold } = shape
  const wordsPerRow = Math.ceil(ffnWidth / 32)
  // One buffer, so that it is saved as it is: f64 holds counts up to 2⁵³ exactly.
  const sizes = { fired: corpusCount * blockCount * ffnWidth, magnitude: blockCount * ffnWidth, pairs: 2 * blockCount }
  const sums = new Float64Array(sizes.fired + sizes.magnitude + sizes.pairs)
  const fired = sums.subarray(0, sizes.fired)
  const magnitude = sums.subarray(sizes.fired, sizes.fired + sizes.magnitude)
  /** [block]: Σ of the Jaccard indices, and their number. */
  const pairs = sums.subarray(sizes.fired + sizes.magnitude)
  /** The set of the last row of each block, which the next row of its window is compared with. */
  const last = new Uint32Array(blockCount * wordsPerRow)

  const countsOf = (corpus: number, block: number) => {
    const start = (corpus * blockCount + block) * ffnWidth
    return fired.subarray(start, start + ffnWidth)
  }

  const observeRow = (counts: Float64Array, sum: Float64Array, rows: ObservedRows, row: number) => {
    const { activations, active } = rows
    const start = row * ffnWidth
    const limit = threshold === 0 ? 0 : threshold * rootMeanSquare(activations, start, ffnWidth)
    for (let word = 0; word < wordsPerRow; word++) {
      let bits = 0
      const end = Math.min(32, ffnWidth - word * 32)
      for (let bit = 0; bit < end; bit++) {
        const neuron = word * 32 + bit
        const value = Math.abs(activations[start + neuron]!)
        if (value > limit) {
          bits |= 1 << bit
          counts[neuron]!++
          sum[neuron]! += value
        }
      }
      active[row * wordsPerRow + word] = bits
    }
  }

  return {
    observe: (corpus, block, rows) => {
      const counts = countsOf(corpus, block)
      const sum = magnitude.subarray(block * ffnWidth, (block + 1) * ffnWidth)
      const before = last.subarray(block * wordsPerRow, (block + 1) * wordsPerRow)
      for (let row = 0; row < rows.rowCount; row++) {
        observeRow(counts, sum, rows, row)
        const set = rows.active.subarray(row * wordsPerRow, (row + 1) * wordsPerRow)
        const alike = rows.positions[row] === 0 ? undefined : jaccardOf(before, set)
        before.set(set)
        if (alike === undefined) continue
        pairs[2 * block]! += alike
        pairs[2 * block + 1]!++
      }
    },
    blocks: () =>
      Array.from({ length: blockCount }, (_, block) => {
        const byCorpus = Array.from({ length: corpusCount }, (_, corpus) => countsOf(corpus, block))
        const firingCounts = Array.from({ length: ffnWidth }, (_, neuron) =>
          byCorpus.reduce((sum, counts) => sum + counts[neuron]!, 0)
        )
        const hot = byCorpus.map((counts) => hotNeurons(counts, hotShare))
        const [alike, pairCount] = [pairs[2 * block]!, pairs[2 * block + 1]!]
        return {
          firingCounts,
          meanMagnitudes: firingCounts.map((count, neuron) =>
            count === 0 ? 0 : magnitude[block * ffnWidth + neuron]! / count
          ),
          overlap: hot.map((one) => hot.map((other) => overlapOf(one, other))),
          consecutiveOverlap: pairCount === 0 ? 0 : alike / pairCount
        }
      }),
    save: () => new Uint8Array(sums.slice().buffer),
    restore: (saved) => {
      if (saved.byteLength !== sums.byteLength) return false
      new Uint8Array(sums.buffer).set(saved)
      return true
    }
  }
}

const rootMeanSquare = (values: Float32Array, start: number, length: number): number => {
  let sum = 0
  for (let at = start; at < start + length; at++) sum += values[at]! * values[at]!
  return Math.sqrt(sum / length)
}

/** Of two sets; undefined if both are empty, which are neither alike nor unlike. */
const jaccardOf = (one: Uint32Array, other: Uint32Array): number | undefined => {
  let common = 0
  let all = 0
  for (let word = 0; word < one.length; word++) {
    common += popCount(one[word]! & other[word]!)
    all += popCount(one[word]! | other[word]!)
  }
  return all === 0 ? undefined : common / all
}
