// One generation: from prompt tokens to the last piece of text. Says which rows it wants next and takes their logits.
import { openSampler } from "../sampler/sampler.ts"
import { openStopStringMatcher } from "../sampler/stop_strings.ts"
import type { ChatTemplate } from "../tokenizer/chat_template.ts"
import { isTokenId, type Tokenizer } from "../tokenizer/tokenizer.ts"
import { type FinishReason, type GenerationFigures, openWorkMeter, type WorkMeter } from "./figures.ts"
import type { Profiler } from "./profiler.ts"
import { type CheckedRequest, type GenerationPart, InvalidRequest, PromptTooLong, SessionBusy } from "./request.ts"
import { keepCommonPrefix, type SessionState } from "./session.ts"

/** How text becomes tokens here. */
export interface TextPort {
  readonly tokenizer: Tokenizer
  readonly chatTemplate: () => ChatTemplate
}

export interface Generation {
  readonly session: SessionState
  readonly meter: WorkMeter
  /** Tokens to run next, from `session.tokens.length` on: the rest of the prompt, then one at a time. Empty once it has ended. */
  readonly pending: Array<number>
  /** Still reading its prompt. */
  readonly prefilling: boolean
  readonly ended: boolean
  /** The first `count` pending tokens are in the cache now. */
  advance(count: number): void
  /** Draws the next token from the logits of the last pending token, once nothing else is pending. */
  next(logits: Float32Array): void
  finish(reason: FinishReason): void
  /** Frees the session after a failure; nothing more is emitted. */
  abandon(): void
}

const encodePrompt = (request: CheckedRequest, { tokenizer, chatTemplate }: TextPort): ReadonlyArray<number> => {
  const { prompt, parseSpecial } = request
  if (typeof prompt === "string") return tokenizer.encode(prompt, { parseSpecial })
  if (prompt.every((part) => typeof part === "number")) {
    const stray = prompt.find((token) => !isTokenId(token, tokenizer.vocabularySize))
    if (stray === undefined) return prompt
    throw new InvalidRequest({
      reason: `the prompt has token ${stray}, the model has ${tokenizer.vocabularySize} tokens; use ids below that`
    })
  }
  return chatTemplate().encode(
    prompt.filter((part) => typeof part !== "number"),
    { addGenerationPrompt: true }
  )
}

/**
 * Starts a generation on an idle session.
 *
 * - throws  `SessionBusy`, `InvalidRequest`, `PromptTooLong`, `BiasOutsideVocabulary`, or what the chat template throws
 */
export const startGeneration = (
  session: SessionState,
  request: CheckedRequest,
  text: TextPort,
  cost: Pick<GenerationFigures, "denseBytesPerToken" | "fidelity"> & { readonly profiler: Profiler | undefined },
  emit: (part: GenerationPart) => void
): Generation => {
  if (session.busy) throw new SessionBusy()
  const { tokenizer } = text
  const prompt = encodePrompt(request, text)
  if (prompt.length === 0)
    throw new InvalidRequest({ reason: "the prompt is empty and the model has no token to begin a text with" })
  if (prompt.length >= session.contextLength) {
    throw new PromptTooLong({ promptTokens: prompt.length, contextLength: session.contextLength })
  }
  const sampler = openSampler(request.sampling, tokenizer.vocabularySize)
  for (const token of prompt) sampler.accept(token)
  const decoder = tokenizer.decoder({ previous: prompt.at(-1)! })
  const stops = openStopStringMatcher(request.stop)
  const meter = openWorkMeter()
  const promptTokensCached = keepCommonPrefix(session, prompt)
  const pending = prompt.slice(promptTokensCached)
  let generatedTokens = 0
  let prefilling = true
  let ended = false
  session.busy = true

  const release = () => {
    ended = true
    pending.length = 0
    session.busy = false
  }

  const finish = (reason: FinishReason): void => {
    if (ended) return
    release()
    const held = reason === "stop_string" ? "" : stops.push(decoder.flush()).text + stops.flush()
    const end = {
      reason,
      figures: {
        promptTokens: prompt.length,
        promptTokensCached,
        generatedTokens,
        ...meter.read(),
        denseBytesPerToken: cost.denseBytesPerToken,
        fidelity: cost.fidelity,
        seed: request.sampling.seed,
        ...(cost.profiler && { profile: cost.profiler.read() })
      }
    }
    emit({ text: held, end })
  }

  const next = (logits: Float32Array): void => {
    prefilling = false
    const token = sampler.sample(logits)
    if (!request.ignoreEndOfText && tokenizer.endOfGeneration.has(token)) return finish("end_of_text")
    sampler.accept(token)
    generatedTokens++
    const shown = stops.push(decoder.push(token))
    emit({ token, text: shown.text })
    if (shown.stopped) return finish("stop_string")
    if (generatedTokens >= request.maxTokens) return finish("max_tokens")
    if (session.tokens.length >= session.contextLength) return finish("context_full")
    pending.push(token)
  }

  return {
    session,
    meter,
    pending,
    get prefilling() {
      return prefilling
    },
    get ended() {
      return ended
    },
    advance(count) {
      for (let i = 0; i < count; i++) session.tokens.push(pending[i]!)
      pending.splice(0, count)
    },
    next,
    finish,
    abandon: release
  }
}
