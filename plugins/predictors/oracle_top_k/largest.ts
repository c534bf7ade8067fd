// Which are the k largest of many numbers, without sorting them and without allocating?

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
