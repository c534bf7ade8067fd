// Which windows of a text are run, and which of their tokens are scored?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { randomFromSeed } from "../sampler/random.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"

/** The text has fewer tokens than one window. */
export class TextTooShort extends Schema.TaggedError<TextTooShort>()("TextTooShort", {
  tokenCount: Schema.Int,
  windowLength: Schema.Int
}) {
  override get message() {
    return `Cannot evaluate on ${this.tokenCount} tokens: a window has ${this.windowLength}; give more text or lower --ctx`
  }
}

/**
 * How windows are scored.
 *
 * - `llama.cpp`      the beginning-of-text token stands first in every window where the tokenizer adds one, and the second half is scored: as
 *                    llama-perplexity does, so that figures can be compared with its
 * - `whole_windows`  windows are left as they are and scored from their first token: the harder protocol, which needs no more text
 */
export const protocols = ["llama.cpp", "whole_windows"] as const
export type Protocol = (typeof protocols)[number]

/** Tokens that are run from position 0, and what they should lead to. */
export interface EvaluationWindow {
  readonly tokens: ReadonlyArray<number>
  /** The first position whose logits are scored; all after it are too. */
  readonly firstScored: number
  /** What is there to be predicted at `firstScored` and after: [tokens.length − firstScored]. */
  readonly targets: ReadonlyArray<number>
}

export interface WindowOptions {
  readonly protocol: Protocol
  readonly windowLength: number
  /** At most so many; absent: all. */
  readonly windowCount?: number
  /** Draws the windows from the whole text; absent: those it begins with. */
  readonly windowSeed?: number
}

/** Stands on a line of its own between the documents of a corpus file. */
export const documentMark = /^<\|doc\|>$\n?/m

/**
 * The tokens of a file of text.
 *
 * A file with `<|doc|>` lines is several documents, each with the tokens that begin and end a text; any other is one text, with those that its
 * model asks for.
 */
export const textTokens = (tokenizer: Tokenizer, text: string): Array<number> => {
  if (!documentMark.test(text)) return tokenizer.encode(text)
  const { bos, eos } = tokenizer
  const documents = text.split(new RegExp(documentMark, "gm")).filter((document) => document.trim() !== "")
  return documents.flatMap((document) => [
    ...(bos === undefined ? [] : [bos]),
    ...tokenizer.encode(`${document.trimEnd()}\n`, { addSpecial: false }),
    ...(eos === undefined ? [] : [eos])
  ])
}

/** Cuts tokens into windows without overlap; what is left at the end is not run. Fails with `TextTooShort` if there is no window. */
export const cutWindows = Effect.fnUntraced(function* (
  tokens: ReadonlyArray<number>,
  tokenizer: Pick<Tokenizer, "bos" | "addsBos">,
  options: WindowOptions
) {
  const { protocol, windowLength } = options
  // The last token of a window is only predicted; under `whole_windows` that is the first one of the next.
  const needed = protocol === "whole_windows" ? 1 : 0
  const available = Math.floor((tokens.length - needed) / windowLength)
  if (available < 1) return yield* new TextTooShort({ tokenCount: tokens.length, windowLength: windowLength + needed })
  return chooseWindows(available, options).map((index): EvaluationWindow => {
    const start = index * windowLength
    if (protocol === "whole_windows") {
      const own = tokens.slice(start, start + windowLength + 1)
      return { tokens: own.slice(0, -1), firstScored: 0, targets: own.slice(1) }
    }
    const own = tokens.slice(start, start + windowLength)
    if (tokenizer.addsBos && tokenizer.bos !== undefined) own[0] = tokenizer.bos
    const firstScored = Math.floor(windowLength / 2)
    return { tokens: own.slice(0, -1), firstScored, targets: own.slice(firstScored + 1) }
  })
})

/** Indices of windows, ascending. */
const chooseWindows = (available: number, { windowCount = available, windowSeed }: WindowOptions): Array<number> => {
  const indices = Array.from({ length: available }, (_, index) => index)
  if (windowSeed !== undefined) {
    const random = randomFromSeed(windowSeed)
    for (let last = available - 1; last > 0; last--) {
      const other = Math.floor(random.nextUniform() * (last + 1))
      ;[indices[last], indices[other]] = [indices[other]!, indices[last]!]
    }
  }
  return indices.slice(0, windowCount).sort((a, b) => a - b)
}
