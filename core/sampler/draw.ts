// The rules "temperature" and "draw": which of the candidates that are left is the next token?
import { type Candidates, weigh } from "./candidates.ts"

/**
 * The entry number at which the running sum of probabilities, in entry order, passes `uniform` (0 ≤ uniform < 1).
 * Probabilities are softmax(logit / temperature), temperature > 0: below 1 sharpens, above 1 flattens.
 */
export const drawCandidate = (candidates: Candidates, temperature: number, uniform: number): number => {
  const target = uniform * weigh(candidates, temperature)
  let sum = 0
  let lastPossible = 0
  for (let i = 0; i < candidates.count; i++) {
    const weight = candidates.weight[i]!
    if (weight === 0) continue
    sum += weight
    lastPossible = i
    if (sum > target) return i
  }
  // uniform just below 1 can round the target up to the whole sum.
  return lastPossible
}
