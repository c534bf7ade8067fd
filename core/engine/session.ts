// A conversation's place in the model: a KV cache and the tokens whose keys and values are in it.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type CacheType, cacheTypes } from "../backend.ts"
import type { CacheId } from "../batch.ts"
import type { Model } from "../model/model.ts"
import type { OpenPlan } from "./open_plan.ts"

export interface SessionOptions {
  /** Positions the session holds, prompt and answer together; default: what the model was made for, or less where that does not fit. */
  readonly contextLength?: number
  readonly cacheType?: CacheType
}

export interface SessionState {
  readonly cache: CacheId
  readonly contextLength: number
  /** Tokens at positions 0 .. length - 1 of the cache. A later prompt that begins with them is not computed again. */
  readonly tokens: Array<number>
  busy: boolean
}

/** The model has learned a vector for each of its positions, and there are no more of them. */
export class ContextTooLong extends Schema.TaggedError<ContextTooLong>()("ContextTooLong", {
  contextLength: Schema.Int,
  contextLengthMax: Schema.Int
}) {
  override get message() {
    return `Cannot hold ${this.contextLength} positions: the model has learned ${this.contextLengthMax}; lower --ctx to that`
  }
}

/** A Q8_0 cache holds heads as whole blocks of 32, and this model has others. */
export class CacheTypeUnsuited extends Schema.TaggedError<CacheTypeUnsuited>()("CacheTypeUnsuited", {
  path: Schema.String,
  cacheType: Schema.Literals(cacheTypes),
  headWidth: Schema.Int
}) {
  override get message() {
    return `Cannot keep the KV cache of ${this.path} in ${this.cacheType}: its heads of ${this.headWidth} are not whole blocks of 32; use --kv-type f16`
  }
}

/** Fails with `CacheTypeUnsuited`; needs no more than the file's header. */
export const checkCacheType = Effect.fnUntraced(function* ({ gguf, shape: { headWidth } }: Model, type: CacheType) {
  if (type === "q8_0" && headWidth % 32 !== 0) {
    return yield* new CacheTypeUnsuited({ path: gguf.files[0]!.path, cacheType: type, headWidth })
  }
})

/** Allocates a KV cache on the home device, freed with the scope. Rope reaches any position, learned positions end. */
export const openCache = Effect.fnUntraced(function* (plan: OpenPlan, positionCount: number, type: CacheType) {
  const { positions, contextLength } = plan.model.shape
  if (positions.kind === "learned" && positionCount > contextLength) {
    return yield* new ContextTooLong({ contextLength: positionCount, contextLengthMax: contextLength })
  }
  yield* checkCacheType(plan.model, type)
  return yield* plan.home.openCache(positionCount, type)
})

/** Allocates the session's KV cache, freed with the scope. */
export const openSession = Effect.fnUntraced(function* (plan: OpenPlan, options: SessionOptions) {
  const contextLength = options.contextLength ?? plan.contextLength
  const cache = yield* openCache(plan, contextLength, options.cacheType ?? "f16")
  const session: SessionState = { cache, contextLength, tokens: [], busy: false }
  return session
})

/** Keeps what the prompt has in common with the cache; returns how many of its tokens need not be computed again: at least one must be, for its logits. */
export const keepCommonPrefix = (session: SessionState, prompt: ReadonlyArray<number>): number => {
  let kept = 0
  while (kept < session.tokens.length && kept < prompt.length - 1 && session.tokens[kept] === prompt[kept]) kept++
  session.tokens.length = kept
  return kept
}
