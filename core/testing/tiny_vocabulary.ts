// Which vocabulary makes any text readable to a tiny model?
import type { MetadataRow } from "../gguf/writer.ts"

const normal = 1
const unknown = 2
const control = 3
const byte = 6

/** Tried in this order by the tokenizer: the first has the highest score. */
const mergedPieces = ["▁t", "he", "▁the", "in", "▁a", "nd", "▁and", "er", "on", "▁s", "▁w", "ou", "▁you", "th"]
const characters = [
  "▁",
  ..."abcdefghijklmnopqrstuvwxyz",
  ..."ABCDEFGHIJKLMNOPQRSTUVWXYZ",
  ..."0123456789",
  ...".,:;!?'\"-()"
]

const tokens: ReadonlyArray<readonly [text: string, score: number, type: number]> = [
  ["<unk>", 0, unknown],
  ["<s>", 0, control],
  ["</s>", 0, control],
  ...Array.from(
    { length: 256 },
    (_, value) => [`<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`, 0, byte] as const
  ),
  ...mergedPieces.map((text, rank) => [text, -rank - 1, normal] as const),
  ...characters.map((text, rank) => [text, -mergedPieces.length - rank - 1, normal] as const)
]

/** The fewest tokens that `tinyVocabulary` can have. */
export const tinyVocabularySize = tokens.length

/** The metadata of a SentencePiece vocabulary with byte fallback, filled up to `size` with words that no merge reaches. */
export const tinyVocabulary = (size: number): ReadonlyArray<MetadataRow> => {
  const filler = Array.from({ length: size - tokens.length }, (_, i) => [`filler${i}`, -1000 - i, normal] as const)
  const all = [...tokens, ...filler].slice(0, size)
  return [
    ["tokenizer.ggml.model", "string", "llama"],
    ["tokenizer.ggml.tokens", "string[]", all.map(([text]) => text)],
    ["tokenizer.ggml.scores", "f32[]", Float32Array.from(all, ([, score]) => score)],
    ["tokenizer.ggml.token_type", "i32[]", Int32Array.from(all, ([, , type]) => type)],
    ["tokenizer.ggml.unknown_token_id", "u32", 0],
    ["tokenizer.ggml.bos_token_id", "u32", 1],
    ["tokenizer.ggml.eos_token_id", "u32", 2],
    ["tokenizer.ggml.add_bos_token", "bool", true],
    ["tokenizer.ggml.add_eos_token", "bool", false]
  ]
}
