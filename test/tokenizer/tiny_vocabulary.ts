// Which is the smallest vocabulary that shows a rule?
import type { MetadataValue } from "../../core/gguf/metadata.ts"
import { openEntries } from "../support/published_vocabularies.ts"

/** Token types as the file format numbers them. */
export const normal = 1
export const unknown = 2
export const control = 3
export const userDefined = 4
export const byte = 6

/** Spelling, type, and for SPM the score. */
export type TinyToken = readonly [text: string, type: number, score?: number]

/** The 256 byte tokens of a SentencePiece vocabulary. */
export const byteTokens: ReadonlyArray<TinyToken> = Array.from({ length: 256 }, (_, value) => [
  `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
  byte
])

/** Entries for a SentencePiece vocabulary that lists `tokens` after `<unk>`, `<s>`, `</s>`. */
export const tinySpmEntries = (
  tokens: ReadonlyArray<TinyToken>,
  more: Record<string, MetadataValue> = {}
): Record<string, MetadataValue> => {
  const all: ReadonlyArray<TinyToken> = [["<unk>", unknown], ["<s>", control], ["</s>", control], ...tokens]
  return {
    "tokenizer.ggml.model": { type: "string", value: "llama" },
    "tokenizer.ggml.tokens": { type: "string[]", value: all.map(([text]) => text) },
    "tokenizer.ggml.token_type": { type: "i32[]", value: Int32Array.from(all, ([, type]) => type) },
    "tokenizer.ggml.scores": { type: "f32[]", value: Float32Array.from(all, ([, , score]) => score ?? 0) },
    ...more
  }
}

/** Opens a SentencePiece vocabulary that lists `tokens` from id 3. */
export const openTinySpm = (tokens: ReadonlyArray<TinyToken>, more: Record<string, MetadataValue> = {}) =>
  openEntries(tinySpmEntries(tokens, more))
