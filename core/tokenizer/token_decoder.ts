// How do tokens become text without a character ever being split?
import { type TextCodec, tokenBytes } from "./text_codec.ts"
import type { DecodeOptions, TokenDecoder } from "./tokenizer.ts"
import { isControlType, TokenType, type Vocabulary } from "./vocabulary.ts"

const space = 0x20

/** One text being decoded. Exactly inverts what the codec and the special tokens do to a text. */
export class StreamingDecoder implements TokenDecoder {
  readonly #vocabulary: Vocabulary
  readonly #codec: TextCodec
  readonly #spellsSpecial: boolean
  // A byte order mark is text like any other. TextDecoder's streaming mode is the rule of the interface (WHATWG Encoding).
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
  /** The next text begins with a space that is not part of it. */
  #dropsSpace: boolean

  /** `options.previous` and all ids that are pushed must be below `vocabulary.size`. */
  constructor(vocabulary: Vocabulary, codec: TextCodec, options: DecodeOptions) {
    this.#vocabulary = vocabulary
    this.#codec = codec
    this.#spellsSpecial = options.special ?? false
    this.#dropsSpace = codec.addsSpace && (options.previous === undefined || this.#isSpecial(options.previous))
  }

  push(id: number): string {
    let bytes = tokenBytes(this.#vocabulary, this.#codec, id, this.#spellsSpecial)
    if (this.#isSpecial(id)) {
      this.#dropsSpace = this.#codec.addsSpace
    } else if (bytes.length > 0) {
      if (this.#dropsSpace && bytes[0] === space) bytes = bytes.subarray(1)
      this.#dropsSpace = false
    }
    return this.#utf8.decode(bytes, { stream: true })
  }

  flush(): string {
    return this.#utf8.decode()
  }

  /** The tokens after which the codec starts a text anew. */
  #isSpecial(id: number): boolean {
    const type = this.#vocabulary.types[id]
    return isControlType(type) || type === TokenType.userDefined
  }
}
