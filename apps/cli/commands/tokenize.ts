// powerinfer tokenize: which tokens does a text become?
import * as Effect from "effect/Effect"
import { openTokenizer, readGguf } from "powerinfer"
import { print, printJson } from "../output.ts"
import { readText } from "../text_input.ts"

export interface TokenizeInput {
  readonly model: string
  readonly text: string
  readonly special: boolean
  readonly json: boolean
}

/** Prints a line a token: its id and its text, quoted. Reads no weights, so a model of any architecture will do. */
export const tokenize = Effect.fnUntraced(function* (input: TokenizeInput) {
  const text = yield* readText(input.text, "TEXT")
  const { metadata } = yield* readGguf(input.model)
  const tokenizer = yield* openTokenizer(metadata)
  const tokens = tokenizer.encode(text, { parseSpecial: input.special })
  const decoder = new TextDecoder()
  const pieces = tokens.map((token) => decoder.decode(tokenizer.bytes(token, { special: true })))
  if (input.json) return yield* printJson({ tokens, pieces, text: tokenizer.decode(tokens) })
  yield* print(tokens.map((token, i) => `${token}\t${JSON.stringify(pieces[i])}\n`).join(""))
})
