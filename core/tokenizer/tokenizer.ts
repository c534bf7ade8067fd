// What can be asked of a tokenizer, and which one does a model file bring?
import type * as Effect from "effect/Effect"
import type { GgufError } from "../gguf/gguf_error.ts"
import { Bpe } from "./bpe.ts"
import { readPreTokenizer } from "./pre_tokenizer.ts"
import { SpecialTokens } from "./special_tokens.ts"
import { Spm } from "./spm.ts"
import { type TextCodec, tokenBytes } from "./text_codec.ts"
import { StreamingDecoder } from "./token_decoder.ts"
import { attemptTokenizer, TokenIdOutOfRange, type TokenizerError, UnsupportedTokenizer } from "./tokenizer_error.ts"
import { readVocabulary, type TokenizerMetadata, type Vocabulary } from "./vocabulary.ts"

/** How `encode` treats what is not plain text. */
export interface EncodeOptions {
  /** Adds the tokens that begin and end a text, as the file asks for them. Default true. */
  readonly addSpecial?: boolean
  /**
   * Whether control tokens that are spelled out in the text (`<|im_end|>`, `</s>`) become those tokens. Default false:
   * they are plain text, so that nobody can end a turn or a document by writing so.
   * A function decides for each occurrence, given its place [start, end) in UTF-16 code units.
   * User-defined tokens are ordinary words that the vocabulary must not split: they are always matched.
   */
  readonly parseSpecial?: boolean | ((start: number, end: number) => boolean)
}

/** How tokens become text. */
export interface DecodeOptions {
  /** Spells control and unknown tokens out instead of leaving them out. Default false. */
  readonly special?: boolean
  /**
   * The token before the first one, where the text continues another (a generated answer continues its prompt).
   * SPM vocabularies begin every text with a space that is not part of it; it is removed at the start of a text and
   * after special tokens, and kept after any other token.
   */
  readonly previous?: number
}

/** Turns a stream of tokens into text without ever splitting a character. */
export interface TokenDecoder {
  /**
   * The text that `id` completes: "" while a UTF-8 character lacks bytes.
   * Bytes that can no longer become a character turn into U+FFFD at once.
   */
  push(id: number): string
  /** Ends the text: U+FFFD if a character is still incomplete, else "". */
  flush(): string
}

/** Whether a number is the id of a token. */
export const isTokenId = (id: number, vocabularySize: number): boolean =>
  Number.isInteger(id) && id >= 0 && id < vocabularySize

/**
 * Text to token ids and back, with the vocabulary of one model file. Plain and synchronous; safe to share.
 *
 * - cost     encode: O(n log n) in the length of the text, whatever its shape; decode: O(n)
 * - throws   `TokenIdOutOfRange` where an id is not in the vocabulary
 */
export interface Tokenizer {
  /** `spm`: SentencePiece BPE over characters. `bpe`: byte-level BPE as in GPT-2. */
  readonly kind: "spm" | "bpe"
  /** Ids are 0 … vocabularySize − 1. */
  readonly vocabularySize: number
  /** Begins a document. */
  readonly bos: number | undefined
  /** Ends a document. */
  readonly eos: number | undefined
  /** Whether `encode` puts `bos` before, or `eos` after, a text. */
  readonly addsBos: boolean
  readonly addsEos: boolean
  /** Every token after which a model has nothing more to say: end of document, turn, message, file. */
  readonly endOfGeneration: ReadonlySet<number>
  /** Texts of the control tokens, by id. User text must not turn into them. */
  readonly controlTokens: ReadonlyMap<number, string>

  /** Lone surrogates in `text` count as U+FFFD. */
  encode(text: string, options?: EncodeOptions): Array<number>
  /** UTF-8 of one token, possibly a part of a character. Control and unknown tokens have none unless `special`. */
  bytes(id: number, options?: { readonly special?: boolean }): Uint8Array
  /** Restores what `encode` was given. (SPM vocabularies spell the space as U+2581: a literal U+2581 comes back as a space.) */
  decode(ids: Iterable<number>, options?: DecodeOptions): string
  decoder(options?: DecodeOptions): TokenDecoder
}

/**
 * Opens the tokenizer that the metadata of a GGUF file describes (keys `tokenizer.ggml.*`).
 *
 * - fails  `UnsupportedTokenizer`, `InvalidVocabulary`, `TokenIdOutOfRange`; `MissingMetadata`, `InvalidMetadata`
 * - cost   0.1 to 0.7 s and some 100 MB for the largest vocabularies (150,000 tokens, 280,000 merges)
 */
export const openTokenizer = (metadata: TokenizerMetadata): Effect.Effect<Tokenizer, TokenizerError | GgufError> =>
  attemptTokenizer(() => {
    const key = "tokenizer.ggml.model"
    const model = metadata.string(key)
    switch (model) {
      case "llama": {
        // Ids that SentencePiece gives by default.
        const vocabulary = readVocabulary(metadata, { unknown: 0, bos: 1, eos: 2, addsBos: true })
        return tokenizer(vocabulary, new Spm(vocabulary, metadata))
      }
      case "gpt2": {
        const preTokenizer = readPreTokenizer(metadata)
        const vocabulary = readVocabulary(metadata, preTokenizer)
        return tokenizer(vocabulary, new Bpe(vocabulary, metadata, preTokenizer))
      }
      default:
        throw new UnsupportedTokenizer({ key, actual: model, supported: ["llama", "gpt2"] })
    }
  })

const tokenizer = (vocabulary: Vocabulary, codec: TextCodec): Tokenizer => {
  const special = new SpecialTokens(vocabulary)
  const { bos, eos, addsBos, addsEos } = vocabulary
  const check = (id: number): number => {
    if (Number.isInteger(id) && id >= 0 && id < vocabulary.size) return id
    throw new TokenIdOutOfRange({ what: "token", id, vocabularySize: vocabulary.size })
  }
  const decoder = (options: DecodeOptions = {}) => {
    if (options.previous !== undefined) check(options.previous)
    const decoding = new StreamingDecoder(vocabulary, codec, options)
    return { push: (id: number) => decoding.push(check(id)), flush: () => decoding.flush() }
  }

  return {
    kind: codec.kind,
    vocabularySize: vocabulary.size,
    bos,
    eos,
    addsBos,
    addsEos,
    endOfGeneration: vocabulary.endOfGeneration,
    controlTokens: special.control,
    encode: (text, { addSpecial = true, parseSpecial = false } = {}) => {
      const ids: Array<number> = []
      if (addSpecial && addsBos) ids.push(bos!)
      let starts = true
      for (const fragment of special.partition(text.toWellFormed(), parseSpecial)) {
        if (typeof fragment === "number") ids.push(fragment)
        else codec.encodeText(fragment, starts, ids)
        starts = typeof fragment === "number"
      }
      if (addSpecial && addsEos) ids.push(eos!)
      return ids
    },
    bytes: (id, options = {}) => tokenBytes(vocabulary, codec, check(id), options.special ?? false),
    decode: (ids, options) => {
      const decoding = decoder(options)
      let text = ""
      for (const id of ids) text += decoding.push(id)
      return text + decoding.flush()
    },
    decoder
  }
}
