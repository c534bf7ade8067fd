// What a generation cost: tokens, seconds, bytes.
import type { DeviceCounters } from "../backend.ts"
import type { Profile } from "./profiler.ts"

/** Why a generation ended: the model said so, a stop string, the token limit, the session's room, or the caller. */
export type FinishReason = "end_of_text" | "stop_string" | "max_tokens" | "context_full" | "cancelled"

/** The figures of one generation. Rates are per second of work spent on it; batched with others, its share of the batch. */
export interface GenerationFigures {
  readonly promptTokens: number
  /** Prompt tokens that were still in the session's KV cache and not computed again. */
  readonly promptTokensCached: number
  readonly generatedTokens: number
  readonly prefillSeconds: number
  readonly decodeSeconds: number
  readonly prefillTokensPerSecond: number
  readonly decodeTokensPerSecond: number
  /** Weight bytes read per decoded token, and what the dense model would read. */
  readonly weightBytesPerToken: number
  readonly denseBytesPerToken: number
  /** KV cache bytes read per decoded token. */
  readonly cacheBytesPerToken: number
  /** Share of FFN neurons computed while decoding. */
  readonly activeShare: number
  /** `exact`: the same tokens as the dense run. `measured`: the predictor may miss neurons. */
  readonly fidelity: "exact" | "measured"
  /** The seed that was used: the same one gives the same tokens. */
  readonly seed: number
  /** Where the engine's time went since it was opened, if it was opened to be profiled. */
  readonly profile?: Profile
}

/** Adds up one generation's part of the batches it took part in. */
export interface WorkMeter {
  /** `share` is the generation's part of the batch's rows. */
  add(
    kind: "prefill" | "decode",
    seconds: number,
    share: number,
    tokens: number,
    before: DeviceCounters,
    after: DeviceCounters
  ): void
  read(): Pick<
    GenerationFigures,
    | "prefillSeconds"
    | "decodeSeconds"
    | "prefillTokensPerSecond"
    | "decodeTokensPerSecond"
    | "weightBytesPerToken"
    | "cacheBytesPerToken"
    | "activeShare"
  >
}

export const openWorkMeter = (): WorkMeter => {
  const seconds = { prefill: 0, decode: 0 }
  const tokens = { prefill: 0, decode: 0 }
  let weightBytes = 0
  let cacheBytes = 0
  let neuronCount = 0
  let neuronComputedCount = 0
  const ratio = (amount: number, of: number) => (of > 0 ? amount / of : 0)

  return {
    add(kind, batchSeconds, share, tokenCount, before, after) {
      seconds[kind] += batchSeconds * share
      tokens[kind] += tokenCount
      if (kind === "prefill") return
      weightBytes += (after.weightBytes - before.weightBytes) * share
      cacheBytes += (after.cacheBytes - before.cacheBytes) * share
      neuronCount += (after.neuronCount - before.neuronCount) * share
      neuronComputedCount += (after.neuronComputedCount - before.neuronComputedCount) * share
    },
    read: () => ({
      prefillSeconds: seconds.prefill,
      decodeSeconds: seconds.decode,
      prefillTokensPerSecond: ratio(tokens.prefill, seconds.prefill),
      decodeTokensPerSecond: ratio(tokens.decode, seconds.decode),
      weightBytesPerToken: ratio(weightBytes, tokens.decode),
      cacheBytesPerToken: ratio(cacheBytes, tokens.decode),
      activeShare: ratio(neuronComputedCount, neuronCount)
    })
  }
}
