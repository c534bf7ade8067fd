// What must an algorithm provide to become a tokenizer?
import { InvalidVocabulary } from "./tokenizer_error.ts"
import { TokenType, type Vocabulary } from "./vocabulary.ts"

/** One algorithm over one vocabulary. Special tokens, the begin and the end of a text are handled around it. */
export interface TextCodec {
  readonly kind: "spm" | "bpe"
  /** Whether `encodeText` puts a space before a text that starts. */
  readonly addsSpace: boolean
  /** Appends the ids of well-formed `text`. `starts`: nothing or a special token stands before it. */
  encodeText(text: string, starts: boolean, ids: Array<number>): void
  /** UTF-8 of a token of type normal. */
  textBytes(id: number): Uint8Array
}

/** The byte that a token of type byte stands for: `<0x0A>` is 10. */
export const byteOfToken = (text: string): number | undefined => {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}

// These bytes occur in no UTF-8 text, so a vocabulary may lack them.
const isUtf8Byte = (byte: number): boolean => byte !== 0xc0 && byte !== 0xc1 && byte < 0xf5

/**
 * Checks that any text can be encoded: every byte of UTF-8 has a token, or there is a token for the unknown.
 *
 * - throws  `InvalidVocabulary`
 */
export const requireEveryByte = (vocabulary: Vocabulary, hasByte: (byte: number) => boolean): void => {
  if (vocabulary.unknown !== undefined) return
  for (let byte = 0; byte < 256; byte++) {
    if (isUtf8Byte(byte) && !hasByte(byte)) {
      throw new InvalidVocabulary({ reason: `no token stands for byte ${byte}, and none for unknown text` })
    }
  }
}

/** UTF-8 of any token, as `Tokenizer.bytes` defines it. Source: llama.cpp, `token_to_piece`. */
export const tokenBytes = (vocabulary: Vocabulary, codec: TextCodec, id: number, special: boolean): Uint8Array => {
  const text = vocabulary.tokens[id]!
  switch (vocabulary.types[id]) {
    case TokenType.control:
    case TokenType.unknown:
      return special ? new TextEncoder().encode(text) : new Uint8Array(0)
    case TokenType.userDefined:
      return new TextEncoder().encode(text)
    case TokenType.byte:
      return Uint8Array.of(byteOfToken(text)!)
    case TokenType.normal:
      return codec.textBytes(id)
    default:
      return new Uint8Array(0)
  }
}
