// Which are the neurons of the k largest values, without sorting them and without allocating?
import type { NeuronSet } from "./neuron_set.ts"

/**
 * The k-th largest of the first `length` values, 1 ≤ k ≤ length. Reorders `values`.
 *
 * - cost    O(length) on average
 * - source  Hoare's Find (CACM 4, 1961), with the middle value as pivot
 */
export const kthLargest = (values: Float32Array, length: number, k: number): number => {
  let low = 0
  let high = length - 1
  const target = k - 1
  while (low < high) {
    const pivot = values[(low + high) >>> 1]!
    let left = low
    let right = high
    while (left <= right) {
      while (values[left]! > pivot) left++
      while (values[right]! < pivot) right--
      if (left > right) break
      const swapped = values[left]!
      values[left++] = values[right]!
      values[right--] = swapped
    }
    // Now low … right are at least the pivot, left … high at most, and what lies between equals it.
    if (target <= right) high = right
    else if (target >= left) low = left
    else return pivot
  }
  return values[low]!
}

/**
 * Adds to row `to` of `active` the `k` neurons with the largest |value|; of equals, the lowest ids. A zero is never named, so there may be fewer.
 *
 * - `values`      f32[row_count, ffn_width], of which row `from` is looked at
 * - `magnitudes`  f32[ffn_width], scratch
 */
export const addLargest = (
  values: Float32Array,
  from: number,
  k: number,
  magnitudes: Float32Array,
  active: NeuronSet,
  to: number
): void => {
  const ffnWidth = magnitudes.length
  const start = from * ffnWidth
  for (let neuron = 0; neuron < ffnWidth; neuron++) magnitudes[neuron] = Math.abs(values[start + neuron]!)
  const smallest = kthLargest(magnitudes, ffnWidth, k)
  let above = 0
  for (let neuron = 0; neuron < ffnWidth; neuron++) if (Math.abs(values[start + neuron]!) > smallest) above++
  let equalsLeft = k - above
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    const magnitude = Math.abs(values[start + neuron]!)
    if (magnitude === 0 || magnitude < smallest) continue
    if (magnitude > smallest || equalsLeft-- > 0) active.add(to, neuron)
  }
}
