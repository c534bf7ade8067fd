// The rule "min-p": which tokens are likely enough next to the best one? (Nguyen et al., arXiv:2407.01082)
import { type Candidates, weigh } from "./candidates.ts"

/** Keeps the candidates at least `p` times as likely as the best one, 0 < p ≤ 1, at temperature 1. Keeps their order. */
export const keepMinP = (candidates: Candidates, p: number): void => {
  weigh(candidates, 1)
  let kept = 0
  for (let i = 0; i < candidates.count; i++) {
    // The best weighs exactly 1, so its share of the best is the weight itself.
    if (candidates.weight[i]! < p) continue
    candidates.id[kept] = candidates.id[i]!
    candidates.logit[kept] = candidates.logit[i]!
    kept++
  }
  candidates.count = kept
}
