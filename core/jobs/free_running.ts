// How long do two runs write the same text when each goes on from its own words?
import * as Effect from "effect/Effect"
import type { CacheType } from "../backend.ts"
import { Batch } from "../batch.ts"
import { openForward } from "../engine/forward.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import { openCache } from "../engine/session.ts"
import { indexOfLargest } from "./score_row.ts"

export interface ContinuationOptions {
  /** Tokens to write after each prompt; the end of a text does not end it. */
  readonly length: number
  readonly cacheType: CacheType
}

/**
 * The most likely continuation of every prompt, token by token; prompts run together in batches that a sparse run keeps sparse.
 *
 * - fails  as a KV cache of the prompt and `length` tokens does
 */
export const continueGreedily = Effect.fnUntraced(function* (
  plan: OpenPlan,
  prompts: ReadonlyArray<ReadonlyArray<number>>,
  options: ContinuationOptions
) {
  const together = sparseRows(plan)
  const continuations: Array<ReadonlyArray<number>> = []
  for (let start = 0; start < prompts.length; start += together) {
    continuations.push(...(yield* continueTogether(plan, prompts.slice(start, start + together), options)))
  }
  return continuations
})

/** Most rows of a batch in which the plan's predictor chooses neurons for every row. */
export const sparseRows = ({ selector, rowCountMax, sparseRowCountMax }: OpenPlan): number =>
  Math.max(1, selector.exact ? Math.min(sparseRowCountMax, rowCountMax) : rowCountMax)

const continueTogether = Effect.fnUntraced(function* (
  plan: OpenPlan,
  prompts: ReadonlyArray<ReadonlyArray<number>>,
  { length, cacheType }: ContinuationOptions
) {
  const { vocabularySize } = plan.model.shape
  const forward = openForward(plan)
  const batch = new Batch(plan.rowCountMax)
  const texts = prompts.map((prompt) => [...prompt])
  const caches = yield* Effect.forEach(prompts, (prompt) => openCache(plan, prompt.length + length, cacheType))
  const topOf = (logits: Float32Array, index: number) =>
    indexOfLargest(logits.subarray(index * vocabularySize, (index + 1) * vocabularySize))

  for (const [index, prompt] of prompts.entries()) {
    for (let start = 0; start < prompt.length; start += plan.rowCountMax) {
      const end = Math.min(start + plan.rowCountMax, prompt.length)
      batch.clear()
      for (let position = start; position < end; position++) {
        batch.add(prompt[position]!, position, caches[index]!, position === prompt.length - 1, true)
      }
      const logits = forward(batch)!
      if (end === prompt.length) texts[index]!.push(topOf(logits, 0))
      yield* Effect.yieldNow
    }
  }
  for (let written = 1; written < length; written++) {
    batch.clear()
    for (const [index, text] of texts.entries()) batch.add(text.at(-1)!, text.length - 1, caches[index]!, true)
    const logits = forward(batch)!
    for (const [index, text] of texts.entries()) text.push(topOf(logits, index))
    yield* Effect.yieldNow
  }
  return texts.map((text, index) => text.slice(prompts[index]!.length))
}, Effect.scoped)

/** Tokens that two texts begin with alike. */
export const commonPrefix = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): number => {
  const end = Math.min(one.length, other.length)
  let length = 0
  while (length < end && one[length] === other[length]) length++
  return length
}
