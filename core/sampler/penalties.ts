// The rules "repetition, presence and frequency penalty": which tokens were seen lately, and what does that cost them?
import type { Candidates } from "./candidates.ts"

/** What each recent token's logit is charged. Their neutral values are 1, 0 and 0. */
export interface Penalties {
  readonly repetitionPenalty: number
  readonly presencePenalty: number
  readonly frequencyPenalty: number
}

/** The last accepted tokens, as a ring. */
export interface TokenWindow {
  /** u32[penalty_window]; the first `length` entries are valid, in no particular order. */
  readonly tokens: Uint32Array
  length: number
  /** Where the next token goes. */
  next: number
  /** u32[vocabulary_size], all zero between calls. */
  readonly occurrences: Uint32Array
}

/** An empty window over the last `size` tokens. */
export const openTokenWindow = (size: number, vocabularySize: number): TokenWindow => ({
  tokens: new Uint32Array(size),
  length: 0,
  next: 0,
  occurrences: new Uint32Array(vocabularySize)
})

/** Adds a token, pushing the oldest out of a full window. */
export const rememberToken = (window: TokenWindow, token: number): void => {
  window.tokens[window.next] = token
  window.next = (window.next + 1) % window.tokens.length
  window.length = Math.min(window.length + 1, window.tokens.length)
}

/**
 * Charges every token of the window once. Runs while entry i is still token i.
 *
 * - repetition  positive logits are divided, others multiplied: both make the token less likely (Keskar et al., arXiv:1909.05858,
 *               with the sign repaired as in llama.cpp's `llama_sampler_penalties_apply`)
 * - presence    subtracted once; frequency is subtracted once per occurrence
 * - cost        proportional to the window, not to the vocabulary
 */
export const penalize = (candidates: Candidates, window: TokenWindow, penalties: Penalties): void => {
  const { tokens, occurrences } = window
  for (let k = 0; k < window.length; k++) occurrences[tokens[k]!]!++
  for (let k = 0; k < window.length; k++) {
    const token = tokens[k]!
    const count = occurrences[token]!
    if (count === 0) continue
    occurrences[token] = 0
    const logit = candidates.logit[token]!
    const repeated = logit > 0 ? logit / penalties.repetitionPenalty : logit * penalties.repetitionPenalty
    candidates.logit[token] = repeated - count * penalties.frequencyPenalty - penalties.presencePenalty
  }
}
