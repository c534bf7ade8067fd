// What a caller asks of a session, and what comes back: plain data on both sides of the worker.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { cacheTypes } from "../backend.ts"
import { SamplerOptions } from "../sampler/options.ts"
import { StopStrings } from "../sampler/stop_strings.ts"
import type { ChatMessage } from "../tokenizer/chat_template.ts"
import type { FinishReason, GenerationFigures } from "./figures.ts"
import type { SessionOptions } from "./session.ts"

/** Text to continue, its token ids, or a conversation to answer. */
export type Prompt = string | ReadonlyArray<number> | ReadonlyArray<ChatMessage>

/** One generation. Everything but the prompt has a default. */
export interface GenerateRequest {
  readonly prompt: Prompt
  /** Stops after this many tokens; default: when the session is full. */
  readonly maxTokens?: number
  /** Temperature, top-k, top-p, min-p, penalties, logit bias, seed: see `SamplerOptions`. */
  readonly sampling?: Partial<SamplerOptions>
  /** Texts that end the generation; they are not part of the output. */
  readonly stop?: ReadonlyArray<string>
  /** Lets special tokens in a text prompt be what they say; default false: they are plain text. */
  readonly parseSpecial?: boolean
  /** Goes on after the model's end-of-text tokens. */
  readonly ignoreEndOfText?: boolean
}

/** A request whose options were checked. */
export interface CheckedRequest {
  readonly prompt: Prompt
  readonly maxTokens: number
  readonly sampling: SamplerOptions
  readonly stop: ReadonlyArray<string>
  readonly parseSpecial: boolean
  readonly ignoreEndOfText: boolean
}

/** A request option is out of its range. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", { reason: Schema.String }) {
  override get message() {
    return `Cannot generate: ${this.reason}`
  }
}

/** The prompt leaves no room for an answer. */
export class PromptTooLong extends Schema.TaggedError<PromptTooLong>()("PromptTooLong", {
  promptTokens: Schema.Int,
  contextLength: Schema.Int
}) {
  override get message() {
    return `Cannot generate: the prompt has ${this.promptTokens} tokens, the session holds ${this.contextLength}; shorten it or raise --ctx`
  }
}

/** The session is already generating. */
export class SessionBusy extends Schema.TaggedError<SessionBusy>()("SessionBusy", {}) {
  override get message() {
    return "Cannot generate: the session is already generating; wait for it or open another session"
  }
}

const MaxTokens = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))
const CheckedFields = Schema.Struct({ sampling: SamplerOptions, stop: StopStrings, maxTokens: MaxTokens })

/** Fills in the defaults. Throws `InvalidRequest`. */
export const checkRequest = (request: GenerateRequest): CheckedRequest => {
  if (typeof request.prompt !== "string" && !Array.isArray(request.prompt)) {
    throw new InvalidRequest({ reason: "there is no prompt; pass a text, token ids or messages" })
  }
  if (typeof request.prompt === "string" && !request.prompt.isWellFormed()) {
    throw new InvalidRequest({ reason: "the prompt is not well-formed Unicode; pass valid UTF-8 text" })
  }
  const fields = Schema.decodeUnknownResult(CheckedFields)({
    sampling: request.sampling ?? {},
    stop: request.stop ?? [],
    maxTokens: request.maxTokens ?? 2 ** 31 - 1
  })
  if (Result.isFailure(fields))
    throw new InvalidRequest({ reason: fields.failure.message.replaceAll(/\s*\n\s*/g, " ") })
  return {
    ...fields.success,
    prompt: request.prompt,
    parseSpecial: request.parseSpecial ?? false,
    ignoreEndOfText: request.ignoreEndOfText ?? false
  }
}

/** A session's options are plain data that may come from anywhere. Throws `InvalidRequest`. */
export const checkSessionOptions = (options: SessionOptions): SessionOptions => {
  const { contextLength, cacheType } = options
  if (
    contextLength !== undefined &&
    !(Number.isInteger(contextLength) && contextLength > 0 && contextLength < 2 ** 32)
  ) {
    throw new InvalidRequest({ reason: `the context length is ${contextLength}; use a whole number of positions` })
  }
  if (cacheType !== undefined && !cacheTypes.includes(cacheType)) {
    throw new InvalidRequest({
      reason: `the KV cache type is ${String(cacheType)}; use one of ${cacheTypes.join(", ")}`
    })
  }
  return options
}

/** A piece of a generation: usually one token and its text; the text may be empty while a character or a stop string is incomplete. */
export interface GenerationPart {
  readonly token?: number
  readonly text: string
  /** Set on the last part, which has no token. */
  readonly end?: GenerationEnd
}

export interface GenerationEnd {
  readonly reason: FinishReason
  readonly figures: GenerationFigures
}
