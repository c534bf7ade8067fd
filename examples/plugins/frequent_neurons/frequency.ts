// How often does each neuron of a block fire, and which do so most often?
import type { TrainingRows } from "@powerinfer/core"

/** Rows in which each neuron's activation is not zero: u32[ffn_width]. */
export const countFiring = (rows: Iterable<TrainingRows>, ffnWidth: number): Uint32Array => {
  const counts = new Uint32Array(ffnWidth)
  for (const { rowCount, activations } of rows) {
    for (let row = 0; row < rowCount; row++) {
      for (let neuron = 0; neuron < ffnWidth; neuron++)
        if (activations[row * ffnWidth + neuron] !== 0) counts[neuron]!++
    }
  }
  return counts
}

/** The `k` neurons with the largest counts, as a bitset; of equals, the lowest ids. */
export const mostFrequent = (counts: Uint32Array, k: number): Uint32Array => {
  const neurons = Array.from(counts, (_, neuron) => neuron).sort((a, b) => counts[b]! - counts[a]! || a - b)
  const words = new Uint32Array(Math.ceil(counts.length / 32))
  for (const neuron of neurons.slice(0, k)) words[neuron >>> 5]! |= 1 << (neuron & 31)
  return words
}
