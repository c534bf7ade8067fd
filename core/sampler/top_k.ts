// The rule "top-k": which are the k most likely tokens? (Fan et al., arXiv:1805.04833)
import { buildHeap, siftDown } from "./candidate_heap.ts"
import { type Candidates, isBetter, swapCandidates } from "./candidates.ts"

/**
 * Keeps the `k` best candidates, best first. k ≥ 1; k ≥ count keeps all, in whatever order they are.
 *
 * - cost  one comparison per candidate that does not make it, log2(k) for one that does
 */
export const keepTopK = (candidates: Candidates, k: number): void => {
  if (k >= candidates.count) return
  // The first k entries hold the best seen so far with the worst of them on top: the one a newcomer has to beat.
  buildHeap(candidates, k, "worst")
  for (let i = k; i < candidates.count; i++) {
    if (!isBetter(candidates, i, 0)) continue
    swapCandidates(candidates, i, 0)
    siftDown(candidates, 0, k, "worst")
  }
  // Taking the worst off the top and putting it last, again and again, leaves the best first.
  for (let end = k - 1; end > 0; end--) {
    swapCandidates(candidates, 0, end)
    siftDown(candidates, 0, end, "worst")
  }
  candidates.count = k
  candidates.bestFirst = true
}
