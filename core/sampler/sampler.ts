// Which token comes next? The chain of sampling rules, opened once and then run without allocation.
import * as Schema from "effect/Schema"
import { loadLogits, openCandidates } from "./candidates.ts"
import { drawCandidate } from "./draw.ts"
import { findBest } from "./greedy.ts"
import { addLogitBias } from "./logit_bias.ts"
import { keepMinP } from "./min_p.ts"
import type { SamplerOptions } from "./options.ts"
import { openTokenWindow, penalize, rememberToken } from "./penalties.ts"
import { randomFromSeed } from "./random.ts"
import { keepTopK } from "./top_k.ts"
import { keepTopP } from "./top_p.ts"

/** The user biased a token that the model does not have. */
export class BiasOutsideVocabulary extends Schema.TaggedError<BiasOutsideVocabulary>()("BiasOutsideVocabulary", {
  token: Schema.Int,
  vocabularySize: Schema.Int
}) {
  override get message() {
    return `Cannot open the sampler: logitBias names token ${this.token}, the model has ${this.vocabularySize} tokens; use an id below that`
  }
}

/** No token can be drawn from these logits. A defect of the model or of the engine, not of the request, unless biases forbid every token. */
export class UnusableLogits extends Schema.TaggedError<UnusableLogits>()("UnusableLogits", {
  /** The first token at fault, or the best one when all are forbidden. */
  token: Schema.Int,
  logit: Schema.Number
}) {
  override get message() {
    return this.logit === -Infinity
      ? "Cannot sample: every token's logit is -Infinity; allow at least one token"
      : `Cannot sample: the logit of token ${this.token} is ${this.logit}; the model computed a number that is not finite`
  }
}

/** An opened chain of rules with its random sequence and its memory of recent tokens. One per session. */
export interface Sampler {
  /**
   * Chooses the next token id. Does not remember it: call `accept` with the token that is really used.
   *
   * - `logits`  f32[vocabulary_size], borrowed and not written; -Infinity means impossible
   * - throws    `UnusableLogits` on NaN, +Infinity, or nothing but -Infinity; `RangeError` on another length
   */
  sample(logits: Float32Array): number
  /** Feeds the penalties with a token of the prompt or of the output, oldest first. Throws `RangeError` outside the vocabulary. */
  accept(token: number): void
}

/**
 * Opens the chain logit bias → penalties → top-k → top-p → min-p → temperature → draw; see `SamplerOptions` for each rule.
 *
 * - guarantees  the same options, accepted tokens and logits (bit for bit) give the same tokens on every machine and engine:
 *               the chain uses only IEEE 754 arithmetic and integer operations. Logits themselves may differ in the last bits
 *               between backends.
 * - memory      28 bytes per token of the vocabulary, allocated here and never again
 * - throws      `BiasOutsideVocabulary`
 */
export const openSampler = (options: SamplerOptions, vocabularySize: number): Sampler => {
  const biasedTokens = Uint32Array.from(Object.keys(options.logitBias), Number)
  const biases = Float64Array.from(Object.values(options.logitBias))
  const strayToken = biasedTokens.find((token) => token >= vocabularySize)
  if (strayToken !== undefined) throw new BiasOutsideVocabulary({ token: strayToken, vocabularySize })

  const penalties = options.repetitionPenalty !== 1 || options.presencePenalty !== 0 || options.frequencyPenalty !== 0
  const window =
    penalties && options.penaltyWindow > 0 ? openTokenWindow(options.penaltyWindow, vocabularySize) : undefined
  const candidates = openCandidates(vocabularySize)
  const random = randomFromSeed(options.seed)

  const sample = (logits: Float32Array): number => {
    if (logits.length !== vocabularySize) {
      throw new RangeError(`Cannot sample: got ${logits.length} logits, the model has ${vocabularySize} tokens`)
    }
    rejectBrokenLogits(logits)
    loadLogits(candidates, logits)
    addLogitBias(candidates, biasedTokens, biases)
    if (window) penalize(candidates, window, options)

    const best = findBest(candidates)
    candidates.bestLogit = candidates.logit[best]!
    if (!Number.isFinite(candidates.bestLogit)) {
      throw new UnusableLogits({ token: candidates.id[best]!, logit: candidates.bestLogit })
    }
    if (options.temperature === 0) return candidates.id[best]!

    if (options.topK > 0) keepTopK(candidates, options.topK)
    if (options.topP < 1) keepTopP(candidates, options.topP)
    if (options.minP > 0) keepMinP(candidates, options.minP)
    return candidates.id[drawCandidate(candidates, options.temperature, random.nextUniform())]!
  }

  const accept = (token: number): void => {
    if (!Number.isInteger(token) || token < 0 || token >= vocabularySize) {
      throw new RangeError(`Cannot accept token ${token}: the model has ${vocabularySize} tokens`)
    }
    if (window) rememberToken(window, token)
  }

  return { sample, accept }
}

/** NaN compares false with everything and would slip through every rule as a tie. */
const rejectBrokenLogits = (logits: Float32Array): void => {
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!
    if (logit < Infinity) continue
    throw new UnusableLogits({ token, logit })
  }
}
