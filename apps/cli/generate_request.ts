// What is asked of a session, by the flags of generate and chat?
import * as Effect from "effect/Effect"
import { checkRequest, type GenerateRequest, type InvalidRequest, type Prompt } from "powerinfer"
import type { SamplingFlags } from "./flags.ts"

/** A request for the engine. Fails with `InvalidRequest` on an option out of its range, before anything is loaded. */
export const generateRequest = (
  prompt: Prompt,
  flags: SamplingFlags
): Effect.Effect<GenerateRequest, InvalidRequest> => {
  const { maxTokens, stop, logitBias, ...sampling } = flags
  const request: GenerateRequest = {
    prompt,
    stop,
    sampling: {
      ...pick(sampling, ["temperature", "topK", "topP", "minP", "seed"]),
      ...pick(sampling, ["repetitionPenalty", "presencePenalty", "frequencyPenalty"]),
      logitBias: Object.fromEntries(Object.entries(logitBias).map(([token, bias]) => [token, Number(bias)]))
    },
    ...(maxTokens !== undefined && { maxTokens })
  }
  return Effect.as(Effect.try({ try: () => checkRequest(request), catch: (error) => error as InvalidRequest }), request)
}

/** The named flags that were given: absent ones must be absent keys for the engine's defaults to hold. */
const pick = <Key extends string>(
  flags: { readonly [K in Key]: number | undefined },
  keys: ReadonlyArray<Key>
): { readonly [K in Key]?: number } =>
  Object.fromEntries(keys.filter((key) => flags[key] !== undefined).map((key) => [key, flags[key]])) as {
    readonly [K in Key]?: number
  }
