// What does the model say at every position of a given text? For comparisons and perplexity, not for generation.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CacheType } from "../backend.ts"
import { Batch } from "../batch.ts"
import { isTokenId } from "../tokenizer/tokenizer.ts"
import { openForward } from "./forward.ts"
import type { OpenPlan } from "./open_plan.ts"
import { openCache } from "./session.ts"

/** A token id the model does not have. */
export class TokenOutsideVocabulary extends Schema.TaggedError<TokenOutsideVocabulary>()("TokenOutsideVocabulary", {
  token: Schema.Number,
  vocabularySize: Schema.Int
}) {
  override get message() {
    return `Cannot run token ${this.token}: the model has ${this.vocabularySize} tokens; use ids from 0 to ${this.vocabularySize - 1}`
  }
}

/** Fails with `TokenOutsideVocabulary` on the first id that is no token. */
export const checkTokens = Effect.fnUntraced(function* (tokens: ReadonlyArray<number>, vocabularySize: number) {
  for (const token of tokens) {
    if (!isTokenId(token, vocabularySize)) {
      return yield* new TokenOutsideVocabulary({ token, vocabularySize })
    }
  }
})

/**
 * Runs tokens through the model in batches of `rowCount` and hands over each position's logits in order.
 *
 * - `onLogits`  (position, f32[vocabulary_size]), a view that is valid during the call
 */
export const evaluateTokens = Effect.fnUntraced(function* (
  plan: OpenPlan,
  tokens: ReadonlyArray<number>,
  options: { readonly cacheType: CacheType; readonly rowCount?: number },
  onLogits: (position: number, logits: Float32Array) => void
) {
  const { vocabularySize } = plan.model.shape
  yield* checkTokens(tokens, vocabularySize)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const cache = yield* openCache(plan, tokens.length, options.cacheType)
      const rowCount = Math.min(options.rowCount ?? plan.rowCountMax, plan.rowCountMax)
      const forward = openForward(plan)
      const batch = new Batch(rowCount)
      for (let start = 0; start < tokens.length; start += rowCount) {
        const end = Math.min(start + rowCount, tokens.length)
        batch.clear()
        for (let position = start; position < end; position++) batch.add(tokens[position]!, position, cache, true)
        const logits = forward(batch)!
        for (let row = 0; row < end - start; row++) {
          onLogits(start + row, logits.subarray(row * vocabularySize, (row + 1) * vocabularySize))
        }
        // Lets an interruption in between the batches.
        yield* Effect.yieldNow
      }
    })
  )
})
