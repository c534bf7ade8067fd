// How does a byte-level BPE vocabulary (`tokenizer.ggml.model = "gpt2"`) cut text into tokens?
import { byteCharacters, bytesOfSpelling } from "./byte_alphabet.ts"
import { type MergeTable, PairMerger, rankLimit } from "./pair_merger.ts"
import { type PreTokenizer, splitWords } from "./pre_tokenizer.ts"
import { byteOfToken, requireEveryByte, type TextCodec } from "./text_codec.ts"
import { InvalidVocabulary } from "./tokenizer_error.ts"
import { isTextType, type TokenizerMetadata, TokenType, type Vocabulary } from "./vocabulary.ts"

/**
 * Byte-level BPE: text is cut into words, and the bytes of each word are merged in the order of the file's list.
 *
 * - throws  `InvalidVocabulary`, `MissingMetadata`, `InvalidMetadata`
 * - source  llama.cpp, `llm_tokenizer_bpe_session`; OpenAI's GPT-2, encoder.py
 */
export class Bpe implements TextCodec {
  readonly kind = "bpe"
  readonly addsSpace = false
  readonly #vocabulary: Vocabulary
  readonly #preTokenizer: PreTokenizer
  readonly #symbols: SymbolTable
  readonly #byteSymbols: Int32Array
  readonly #merger: PairMerger
  readonly #encoder = new TextEncoder()

  constructor(vocabulary: Vocabulary, metadata: TokenizerMetadata, preTokenizer: PreTokenizer) {
    this.#vocabulary = vocabulary
    this.#preTokenizer = preTokenizer
    this.#symbols = new SymbolTable(vocabulary)
    requireEveryByte(vocabulary, (byte) => this.#symbols.tokenOf(byteCharacters[byte]!) !== undefined)
    for (const [id, token] of vocabulary.tokens.entries()) {
      if (vocabulary.types[id] === TokenType.byte && byteOfToken(token) === undefined) {
        throw new InvalidVocabulary({ reason: `token ${id} is a byte, but is spelled ${JSON.stringify(token)}` })
      }
    }
    this.#byteSymbols = Int32Array.from(byteCharacters, (character) => this.#symbols.add(character))
    this.#merger = new PairMerger(readMerges(metadata, this.#symbols))
  }

  encodeText(text: string, _starts: boolean, ids: Array<number>): void {
    for (const word of splitWords(this.#preTokenizer, text)) this.#encodeWord(word, ids)
  }

  textBytes(id: number): Uint8Array {
    return bytesOfSpelling(this.#vocabulary.tokens[id]!)
  }

  #encodeWord(word: string, ids: Array<number>): void {
    const bytes = this.#encoder.encode(word)
    if (this.#preTokenizer.ignoresMerges) {
      let spelling = ""
      for (const byte of bytes) spelling += byteCharacters[byte]!
      const id = this.#symbols.tokenOf(spelling)
      if (id !== undefined) {
        ids.push(id)
        return
      }
    }
    const symbols = new Int32Array(bytes.length)
    for (let i = 0; i < bytes.length; i++) symbols[i] = this.#byteSymbols[bytes[i]!]!
    const left = this.#merger.merge(symbols, bytes.length)
    for (let i = 0; i < left; i++) this.#pushSymbol(symbols[i]!, ids)
  }

  #pushSymbol(symbol: number, ids: Array<number>): void {
    if (symbol < this.#vocabulary.size) {
      ids.push(symbol)
      return
    }
    // Merges may lead to text that is not a token. Its bytes are, or there is an unknown token.
    for (const character of this.#symbols.textOf(symbol)) {
      const id = this.#symbols.tokenOf(character) ?? this.#vocabulary.unknown
      if (id !== undefined) ids.push(id)
    }
  }
}

/** Numbers for spellings: a token has its id, any other spelling in the merges a number above all ids. */
class SymbolTable {
  readonly #size: number
  readonly #numbers = new Map<string, number>()
  readonly #others: Array<string> = []

  constructor(vocabulary: Vocabulary) {
    this.#size = vocabulary.size
    for (const [id, token] of vocabulary.tokens.entries()) {
      if (isTextType(vocabulary.types[id])) this.#numbers.set(token, id)
    }
  }

  add(spelling: string): number {
    const known = this.#numbers.get(spelling)
    if (known !== undefined) return known
    const symbol = this.#size + this.#others.length
    this.#others.push(spelling)
    this.#numbers.set(spelling, symbol)
    return symbol
  }

  tokenOf(spelling: string): number | undefined {
    const symbol = this.#numbers.get(spelling)
    return symbol !== undefined && symbol < this.#size ? symbol : undefined
  }

  textOf(symbol: number): string {
    return this.#others[symbol - this.#size]!
  }
}

/** One exact number for a pair of symbols. There are fewer than 2²⁶: at most one a token and three a merge. */
const keyOf = (left: number, right: number): number => left * 2 ** 26 + right

/** A merge is named by its place in the list, which is its rank. */
const readMerges = (metadata: TokenizerMetadata, symbols: SymbolTable): MergeTable => {
  const merges = metadata.strings("tokenizer.ggml.merges")
  if (merges.length > rankLimit) throw new InvalidVocabulary({ reason: `there are more than ${rankLimit} merges` })
  const merged = new Uint32Array(merges.length)
  const found = new Map<number, number>()
  for (const [rank, merge] of merges.entries()) {
    // The left part may itself begin with a space.
    const space = merge.indexOf(" ", 1)
    if (space < 0) throw new InvalidVocabulary({ reason: `merge ${rank} is not two parts: ${JSON.stringify(merge)}` })
    const left = merge.slice(0, space)
    const right = merge.slice(space + 1)
    const key = keyOf(symbols.add(left), symbols.add(right))
    merged[rank] = symbols.add(left + right)
    // Of a pair that is listed twice, the first counts.
    if (!found.has(key)) found.set(key, rank)
  }
  return {
    rank: Uint32Array.from({ length: merges.length }, (_, rank) => rank),
    merged,
    find: (left, right) => found.get(keyOf(left, right)) ?? -1
  }
}
