// How does a conversation become a prompt in the form that the model was trained on?
import { Template } from "@huggingface/jinja"
import type * as Effect from "effect/Effect"
import { attemptGguf, type GgufError } from "../gguf/gguf_error.ts"
import { ContentVeil } from "./content_veil.ts"
import type { Tokenizer } from "./tokenizer.ts"
import { ChatTemplateFailed, InvalidChatTemplate } from "./tokenizer_error.ts"
import type { TokenizerMetadata } from "./vocabulary.ts"

/** One message. What else a template knows (`tool_calls`, `reasoning_content`, …) is passed on to it. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, `tool`. Templates put it between their markers: take it from a list, not from a user. */
  readonly role: string
  /** Text, or parts as OpenAI's API has them, where the template knows parts. */
  readonly content?: string | null | ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly [key: string]: unknown
}

export interface ChatOptions {
  /** Ends with the marker after which the assistant speaks. Default true. */
  readonly addGenerationPrompt?: boolean
  /** Descriptions of tools, in the form that the template knows. */
  readonly tools?: ReadonlyArray<unknown>
  /** Further variables of the template, such as `enable_thinking`. They are trusted: not for text from users. */
  readonly variables?: Readonly<Record<string, unknown>>
}

/**
 * The chat template of one model file.
 *
 * - throws  `InvalidChatTemplate` where the file's template is not valid Jinja, `ChatTemplateFailed` where it refuses
 *           the messages (roles out of turn, say) or uses what our Jinja does not have
 */
export interface ChatTemplate {
  /** The prompt as text, to look at. `encode` tells the template's markers from the same words in a message; a text cannot. */
  render(messages: ReadonlyArray<ChatMessage>, options?: ChatOptions): string
  /**
   * The prompt as tokens. Control tokens come from the template alone: spelled out in a message, a tool or a key they stay
   * plain text (see `ContentVeil`). Begins with `bos` exactly once if the vocabulary asks for it, and never ends with `eos`.
   */
  encode(messages: ReadonlyArray<ChatMessage>, options?: ChatOptions): Array<number>
}

/**
 * Opens the chat template of a GGUF file (key `tokenizer.chat_template`), or undefined if it has none: such a model
 * was not trained on conversations in any format we could guess.
 *
 * A template that is not valid Jinja does not fail here, because the model can still continue plain text.
 *
 * - fails  `InvalidMetadata`
 */
export const openChatTemplate = (
  metadata: TokenizerMetadata,
  tokenizer: Tokenizer
): Effect.Effect<ChatTemplate | undefined, GgufError> =>
  attemptGguf(() => {
    const key = "tokenizer.chat_template"
    return metadata.has(key) ? chatTemplate(metadata.string(key), tokenizer) : undefined
  })

const chatTemplate = (source: string, tokenizer: Tokenizer): ChatTemplate => {
  const template = parse(source)
  const controlTexts = [...tokenizer.controlTokens.values()]
  const tokenText = (id: number | undefined) => (id === undefined ? "" : tokenizer.decode([id], { special: true }))
  const bosText = tokenText(tokenizer.bos)
  const eosText = tokenText(tokenizer.eos)

  const write = (messages: ReadonlyArray<ChatMessage>, options: ChatOptions) => {
    if (template instanceof InvalidChatTemplate) throw template
    const { addGenerationPrompt = true, tools, variables } = options
    const veil = new ContentVeil(controlTexts, [source, messages, tools])
    try {
      const rendered = template.render({
        bos_token: bosText,
        eos_token: eosText,
        ...variables,
        messages: veil.cover(messages),
        ...(tools && { tools: veil.cover(tools) }),
        add_generation_prompt: addGenerationPrompt
      })
      return veil.uncover(rendered)
    } catch (error) {
      throw new ChatTemplateFailed({ reason: reasonOf(error) })
    }
  }

  return {
    render: (messages, options = {}) => write(messages, options).text,
    encode: (messages, options = {}) => {
      const { text, isCovered } = write(messages, options)
      const ids = tokenizer.encode(text, { addSpecial: false, parseSpecial: (start, end) => !isCovered(start, end) })
      // Most templates write bos themselves.
      if (tokenizer.addsBos && ids[0] !== tokenizer.bos) ids.unshift(tokenizer.bos!)
      return ids
    }
  }
}

const parse = (source: string): Template | InvalidChatTemplate => {
  try {
    return new Template(source)
  } catch (error) {
    return new InvalidChatTemplate({ reason: reasonOf(error) })
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
