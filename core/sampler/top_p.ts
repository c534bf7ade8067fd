// The rule "top-p": which are the most likely tokens that together hold the mass p? (nucleus sampling, Holtzman et al., arXiv:1904.09751)
import { buildHeap, siftDown } from "./candidate_heap.ts"
import { type Candidates, swapCandidates, weigh } from "./candidates.ts"
import { expOfNonPositive } from "./exponential.ts"

/**
 * Keeps the shortest best-first run of candidates whose probabilities reach `p`, 0 < p < 1; best first. The candidate that
 * crosses p stays. Probabilities are relative to the candidates that are left, at temperature 1.
 *
 * - cost  linear, plus log2(count) per kept candidate: they are taken off a heap, not sorted
 */
export const keepTopP = (candidates: Candidates, p: number): void => {
  const massWanted = p * weigh(candidates, 1)
  if (candidates.bestFirst) {
    let kept = 0
    for (let mass = 0; kept < candidates.count && mass < massWanted; kept++) mass += candidates.weight[kept]!
    candidates.count = kept
    return
  }

  buildHeap(candidates, candidates.count, "best")
  let heapSize = candidates.count
  for (let mass = 0; heapSize > 0 && mass < massWanted;) {
    mass += expOfNonPositive(candidates.logit[0]! - candidates.bestLogit)
    heapSize--
    swapCandidates(candidates, 0, heapSize)
    siftDown(candidates, 0, heapSize, "best")
  }
  // The kept ones now lie at the end, worst first: turning the array round brings them to the front, best first.
  const kept = candidates.count - heapSize
  const swaps = Math.min(kept, candidates.count >> 1)
  for (let i = 0; i < swaps; i++) swapCandidates(candidates, i, candidates.count - 1 - i)
  candidates.count = kept
  candidates.bestFirst = true
}
