// What would the metadata of a GGUF file say, if this published vocabulary were in it?
import { Metadata, type MetadataValue } from "../../core/gguf/metadata.ts"

/** The part of Hugging Face's tokenizer.json that a conversion needs. */
export interface TokenizerJson {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>
    readonly merges: ReadonlyArray<string | ReadonlyArray<string>>
  }
  readonly added_tokens: ReadonlyArray<{ readonly id: number; readonly content: string; readonly special: boolean }>
}

const types = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 }

/** Metadata from plain entries, as if read from a file. */
export const metadataOf = (entries: Readonly<Record<string, MetadataValue>>): Metadata =>
  new Metadata("test.gguf", new Map(Object.entries(entries)))

/** The entries that convert_hf_to_gguf.py would write for a byte-level BPE vocabulary. */
export const bpeEntries = (json: TokenizerJson, pre: string): Record<string, MetadataValue> => {
  const { tokens, tokenTypes } = tokensOf(json)
  return {
    "general.architecture": { type: "string", value: "llama" },
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: pre },
    "tokenizer.ggml.tokens": { type: "string[]", value: tokens },
    "tokenizer.ggml.token_type": { type: "i32[]", value: tokenTypes },
    "tokenizer.ggml.merges": { type: "string[]", value: mergesOf(json) }
  }
}

/**
 * The entries for a SentencePiece vocabulary. tokenizer.json has no scores, but its merges are sorted by the score of the
 * token they make; only this order matters.
 */
export const spmEntries = (json: TokenizerJson): Record<string, MetadataValue> => {
  const { tokens, tokenTypes } = tokensOf(json)
  const rankOf = new Map<string, number>()
  for (const [rank, merge] of mergesOf(json).entries()) {
    const merged = merge.replace(" ", "")
    if (!rankOf.has(merged)) rankOf.set(merged, rank)
  }
  return {
    "general.architecture": { type: "string", value: "llama" },
    "tokenizer.ggml.model": { type: "string", value: "llama" },
    "tokenizer.ggml.tokens": { type: "string[]", value: tokens },
    "tokenizer.ggml.scores": { type: "f32[]", value: Float32Array.from(tokens, (token) => -(rankOf.get(token) ?? 0)) },
    "tokenizer.ggml.token_type": {
      type: "i32[]",
      value: tokenTypes.map((type, id) => (id === 0 ? types.unknown : /^<0x..>$/.test(tokens[id]!) ? types.byte : type))
    }
  }
}

const mergesOf = (json: TokenizerJson): Array<string> =>
  json.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")))

const tokensOf = ({ model, added_tokens: added }: TokenizerJson) => {
  const ids = new Map([...Object.entries(model.vocab), ...added.map((token) => [token.content, token.id] as const)])
  const tokens = Array.from({ length: ids.size }, () => "")
  for (const [text, id] of ids) tokens[id] = text
  const tokenTypes = new Int32Array(tokens.length).fill(types.normal)
  for (const token of added) tokenTypes[token.id] = token.special ? types.control : types.userDefined
  return { tokens, tokenTypes }
}
