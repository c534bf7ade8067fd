// The rule "greedy": which candidate is the most likely one?
import { type Candidates, isBetter } from "./candidates.ts"

/** The entry number of the best candidate; between equals, the one with the lowest token id. */
export const findBest = (candidates: Candidates): number => {
  let best = 0
  for (let i = 1; i < candidates.count; i++) if (isBetter(candidates, i, best)) best = i
  return best
}
