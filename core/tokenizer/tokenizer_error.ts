// Which ways can a tokenizer or a chat template fail, and what can the caller do about each?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type GgufError, isGgufError } from "../gguf/gguf_error.ts"

/** The file names a tokenizer, or a way to cut text into words, that we do not have. */
export class UnsupportedTokenizer extends Schema.TaggedError<UnsupportedTokenizer>()("UnsupportedTokenizer", {
  key: Schema.String,
  actual: Schema.String,
  supported: Schema.Array(Schema.String)
}) {
  override get message() {
    return `Cannot open the tokenizer: ${this.key} is "${this.actual}"; use a model with one of ${this.supported.join(", ")}`
  }
}

/** The parts of the vocabulary contradict each other. */
export class InvalidVocabulary extends Schema.TaggedError<InvalidVocabulary>()("InvalidVocabulary", {
  reason: Schema.String
}) {
  override get message() {
    return `Cannot open the tokenizer: ${this.reason}; convert the model again with a current converter`
  }
}

/** A token id, in the file or given by a caller, is not in the vocabulary. */
export class TokenIdOutOfRange extends Schema.TaggedError<TokenIdOutOfRange>()("TokenIdOutOfRange", {
  what: Schema.String,
  id: Schema.Number,
  vocabularySize: Schema.Number
}) {
  override get message() {
    return `Cannot use ${this.what} ${this.id}: the vocabulary has the ids 0 … ${this.vocabularySize - 1}; use one of those`
  }
}

/** The template in the file is not valid Jinja. */
export class InvalidChatTemplate extends Schema.TaggedError<InvalidChatTemplate>()("InvalidChatTemplate", {
  reason: Schema.String
}) {
  override get message() {
    return `Cannot read the model's chat template: ${this.reason}; use generate with a plain prompt`
  }
}

/** The template refused these messages, or needs something of Jinja that we do not have. */
export class ChatTemplateFailed extends Schema.TaggedError<ChatTemplateFailed>()("ChatTemplateFailed", {
  reason: Schema.String
}) {
  override get message() {
    return `Cannot write the messages with the model's chat template: ${this.reason}; change the messages`
  }
}

/** Every error class of this folder, for a Schema union. */
export const tokenizerErrors = [
  UnsupportedTokenizer,
  InvalidVocabulary,
  TokenIdOutOfRange,
  InvalidChatTemplate,
  ChatTemplateFailed
] as const

/** Every way in which a vocabulary can be unusable. */
export type TokenizerError = UnsupportedTokenizer | InvalidVocabulary | TokenIdOutOfRange

/** Every way in which a conversation cannot become a prompt. */
export type ChatTemplateError = InvalidChatTemplate | ChatTemplateFailed

const isTokenizerError = (error: unknown): error is TokenizerError =>
  error instanceof UnsupportedTokenizer || error instanceof InvalidVocabulary || error instanceof TokenIdOutOfRange

/** Runs code that throws `TokenizerError`s or `GgufError`s as an Effect; dies with anything else. */
export const attemptTokenizer = <A>(evaluate: () => A): Effect.Effect<A, TokenizerError | GgufError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(evaluate())
    } catch (error) {
      return isTokenizerError(error) || isGgufError(error) ? Effect.fail(error) : Effect.die(error)
    }
  })
