// How are the few best of 150,000 candidates found without sorting them all? With a binary heap, kept in the entries themselves.
import { type Candidates, isBetter, swapCandidates } from "./candidates.ts"

/** Which candidate sits at entry 0: the best of the heap, or the worst. */
export type HeapTop = "best" | "worst"

/** Orders the first `size` entries as a heap. Linear time. */
export const buildHeap = (candidates: Candidates, size: number, top: HeapTop): void => {
  for (let root = (size >> 1) - 1; root >= 0; root--) siftDown(candidates, root, size, top)
}

/** Repairs a heap over the first `size` entries of which only entry `root` may be out of place. Logarithmic time. */
export const siftDown = (candidates: Candidates, root: number, size: number, top: HeapTop): void => {
  const bestOnTop = top === "best"
  for (let parent = root; ;) {
    let child = 2 * parent + 1
    if (child >= size) return
    if (child + 1 < size && isBetter(candidates, child + 1, child) === bestOnTop) child++
    if (isBetter(candidates, parent, child) === bestOnTop) return
    swapCandidates(candidates, parent, child)
    parent = child
  }
}
