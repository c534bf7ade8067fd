// Which tokens does the file list, of what type, and which of them begin and end a text?
import type { Metadata } from "../gguf/metadata.ts"
import { findEndOfGeneration } from "./end_of_generation.ts"
import { InvalidVocabulary, TokenIdOutOfRange } from "./tokenizer_error.ts"

/** What a tokenizer reads of a file's metadata. */
export type TokenizerMetadata = Pick<Metadata, "has" | "string" | "strings" | "numbers" | "u32" | "bool">

/** `tokenizer.ggml.token_type`, as `llama_token_type` of llama.h numbers it. */
export const TokenType = {
  undefined: 0,
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6
} as const

/** The vocabulary of a file, checked. */
export interface Vocabulary {
  readonly size: number
  /** Spelling of each token: SPM writes a space as U+2581, byte-level BPE every byte as a printable character. */
  readonly tokens: ReadonlyArray<string>
  /** u8[size] of `TokenType`. */
  readonly types: Uint8Array
  readonly bos: number | undefined
  readonly eos: number | undefined
  readonly unknown: number | undefined
  readonly addsBos: boolean
  readonly addsEos: boolean
  readonly endOfGeneration: ReadonlySet<number>
}

/** What holds where the file does not say. */
export interface VocabularyDefaults {
  readonly bos?: number
  readonly eos?: number
  readonly unknown?: number
  readonly addsBos: boolean
}

/**
 * Reads and checks the vocabulary.
 *
 * - throws  `InvalidVocabulary`, `TokenIdOutOfRange`, `MissingMetadata`, `InvalidMetadata`
 * - source  llama.cpp, `llama_vocab::impl::load`
 */
export const readVocabulary = (metadata: TokenizerMetadata, defaults: VocabularyDefaults): Vocabulary => {
  // llama.cpp names empty tokens the same way; they can then be told apart and match no text anyone writes.
  const tokens = metadata.strings("tokenizer.ggml.tokens").map((token, id) => token || `[EMPTY_${id}]`)
  const size = tokens.length
  const ids = new Map<string, number>()
  for (const [id, token] of tokens.entries()) {
    const other = ids.get(token)
    if (other !== undefined) {
      throw new InvalidVocabulary({ reason: `tokens ${other} and ${id} are both ${JSON.stringify(token)}` })
    }
    ids.set(token, id)
  }

  const types = readTypes(metadata, size)
  const specialId = (name: string, fallback?: number): number | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`
    if (!metadata.has(key)) return fallback !== undefined && fallback < size ? fallback : undefined
    const id = metadata.u32(key)
    if (id >= size) throw new TokenIdOutOfRange({ what: key, id, vocabularySize: size })
    return id
  }
  const bos = specialId("bos", defaults.bos)
  const eos = specialId("eos", defaults.eos)
  const endOfGeneration = findEndOfGeneration(ids, (id) => types[id] === TokenType.control, eos, specialId)
  // Some converters leave these tokens "normal"; user text would then be able to end the generation.
  for (const id of endOfGeneration) types[id] = TokenType.control

  return {
    size,
    tokens,
    types,
    bos,
    eos,
    unknown: specialId("unknown", defaults.unknown),
    addsBos: readAdds(metadata, "bos", bos, defaults.addsBos),
    addsEos: readAdds(metadata, "eos", eos, false),
    endOfGeneration
  }
}

/** True for the types that stand for no text of their own: `<s>`, `<|im_end|>`, `<unk>`. */
export const isControlType = (type: number | undefined): boolean =>
  type === TokenType.control || type === TokenType.unknown

/** True for tokens that ordinary text may be cut into. Control, unknown and byte tokens never are, however they are spelled. */
export const isTextType = (type: number | undefined): boolean => !isControlType(type) && type !== TokenType.byte

const readTypes = (metadata: TokenizerMetadata, size: number): Uint8Array => {
  const key = "tokenizer.ggml.token_type"
  if (!metadata.has(key)) return new Uint8Array(size).fill(TokenType.normal)
  const types = metadata.numbers(key)
  if (types.length !== size) {
    throw new InvalidVocabulary({ reason: `there are ${size} tokens, but ${types.length} token types` })
  }
  return Uint8Array.from(types, (type) =>
    type >= TokenType.normal && type <= TokenType.byte ? type : TokenType.undefined
  )
}

const readAdds = (metadata: TokenizerMetadata, name: string, id: number | undefined, fallback: boolean): boolean => {
  const key = `tokenizer.ggml.add_${name}_token`
  if (!metadata.bool(key, fallback)) return false
  if (id === undefined && metadata.has(key)) {
    throw new InvalidVocabulary({ reason: `${key} is true, but tokenizer.ggml.${name}_token_id is missing` })
  }
  return id !== undefined
}
