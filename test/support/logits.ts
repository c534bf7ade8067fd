// The logits of a plan over some tokens, and how far those of two plans are apart.
import { evaluateTokens, type OpenPlan } from "@powerinfer/core"
import { Effect } from "effect"

/** Of every golden family's vocabulary. */
const tokens = [1, 3258, 1922, 706, 583, 160, 1638, 2493, 301, 3465]

/** f32[token_count, vocabulary_size], in batches of four rows. */
export const logitsOf = async (plan: OpenPlan): Promise<Float32Array> => {
  const { vocabularySize } = plan.model.shape
  const logits = new Float32Array(tokens.length * vocabularySize)
  const keep = (position: number, row: Float32Array) => logits.set(row, position * vocabularySize)
  await Effect.runPromise(evaluateTokens(plan, tokens, { cacheType: "f32", rowCount: 4 }, keep))
  return logits
}

export const largestError = (a: Float32Array, b: Float32Array): number =>
  a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0)
