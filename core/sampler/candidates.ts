// Which tokens may still be drawn, and how likely is each? The state that every sampling rule reads and narrows.
import { expOfNonPositive } from "./exponential.ts"

/**
 * The tokens that are still in the draw, as parallel arrays allocated once for the whole vocabulary.
 *
 * Entry i of each array describes one candidate; entries at and above `count` are leftovers.
 * "Better" is a strict order everywhere: the larger logit, and between equals the lower token id.
 */
export interface Candidates {
  /** How many are left, at least 1. */
  count: number
  /** Whether the entries run from best to worst. */
  bestFirst: boolean
  /** The logit of the best candidate, always a finite number once the chain has checked it. No rule ever drops the best. */
  bestLogit: number
  /** u32[vocabulary_size] token ids. */
  readonly id: Uint32Array
  /** f64[vocabulary_size], wider than the model's f32 so that no rule rounds two different logits into a tie. */
  readonly logit: Float64Array
  /** f64[vocabulary_size] unnormalized probabilities, valid after `weigh`. */
  readonly weight: Float64Array
}

/** Allocates the arrays; everything after this runs without allocation. */
export const openCandidates = (vocabularySize: number): Candidates => ({
  count: vocabularySize,
  bestFirst: false,
  bestLogit: -Infinity,
  id: new Uint32Array(vocabularySize),
  logit: new Float64Array(vocabularySize),
  weight: new Float64Array(vocabularySize)
})

/** Makes every token a candidate again, entry i being token i. `logits` is f32[vocabulary_size], borrowed and not written. */
export const loadLogits = (candidates: Candidates, logits: Float32Array): void => {
  candidates.count = logits.length
  candidates.bestFirst = false
  candidates.logit.set(logits)
  for (let token = 0; token < logits.length; token++) candidates.id[token] = token
}

/** Whether candidate `a` is better than candidate `b`. Both are entry numbers, not token ids. */
export const isBetter = (candidates: Candidates, a: number, b: number): boolean => {
  const difference = candidates.logit[a]! - candidates.logit[b]!
  // The difference of two -Infinity is NaN, which falls through to the ids as a tie should.
  if (difference > 0) return true
  if (difference < 0) return false
  return candidates.id[a]! < candidates.id[b]!
}

/** Exchanges two entries. Weights are not moved: whoever reorders weighs again. */
export const swapCandidates = (candidates: Candidates, a: number, b: number): void => {
  const id = candidates.id[a]!
  const logit = candidates.logit[a]!
  candidates.id[a] = candidates.id[b]!
  candidates.logit[a] = candidates.logit[b]!
  candidates.id[b] = id
  candidates.logit[b] = logit
}

/**
 * Sets every weight to exp((logit - best logit) / temperature), so that the best weighs 1 and nothing overflows.
 * Returns the sum, added up in entry order.
 */
export const weigh = (candidates: Candidates, temperature: number): number => {
  let sum = 0
  for (let i = 0; i < candidates.count; i++) {
    const weight = expOfNonPositive((candidates.logit[i]! - candidates.bestLogit) / temperature)
    candidates.weight[i] = weight
    sum += weight
  }
  return sum
}
