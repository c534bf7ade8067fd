// How does a SentencePiece vocabulary (`tokenizer.ggml.model = "llama"`) cut text into tokens?
import { type MergeTable, PairMerger, rankLimit } from "./pair_merger.ts"
import { byteOfToken, requireEveryByte, type TextCodec } from "./text_codec.ts"
import { InvalidVocabulary } from "./tokenizer_error.ts"
import { isTextType, type TokenizerMetadata, TokenType, type Vocabulary } from "./vocabulary.ts"

/** How SentencePiece spells a space. */
const spelledSpace = "\u2581"

/**
 * SentencePiece BPE: characters are merged while a pair spells a token, the token of the highest score first.
 * Characters that no token spells become the tokens of their bytes, or one unknown token for a run of them.
 *
 * Differs from llama.cpp in one point, and agrees with SentencePiece there: text never merges into control, unknown
 * or byte tokens, so that `</s>` or `<0x0A>` in a prompt are what they look like.
 *
 * - throws  `InvalidVocabulary`, `MissingMetadata`, `InvalidMetadata`
 * - source  llama.cpp, `llm_tokenizer_spm_session`; SentencePiece, `bpe_model.cc`
 */
export class Spm implements TextCodec {
  readonly kind = "spm"
  readonly addsSpace: boolean
  readonly #vocabulary: Vocabulary
  readonly #pieces = new Map<string, number>()
  readonly #pieceLengthMax: number
  /** Id of the token for each byte; undefined unless all 256 are there. */
  readonly #byteIds: ReadonlyArray<number> | undefined
  readonly #merger: PairMerger

  constructor(vocabulary: Vocabulary, metadata: TokenizerMetadata) {
    this.#vocabulary = vocabulary
    this.addsSpace = metadata.bool("tokenizer.ggml.add_space_prefix", true)
    const byteIds = new Map<number, number>()
    let pieceLengthMax = 0
    for (const [id, token] of vocabulary.tokens.entries()) {
      const type = vocabulary.types[id]
      if (type === TokenType.byte) {
        const byte = byteOfToken(token)
        if (byte === undefined) {
          throw new InvalidVocabulary({ reason: `token ${id} is a byte, but is spelled ${JSON.stringify(token)}` })
        }
        byteIds.set(byte, id)
      } else if (isTextType(type)) {
        this.#pieces.set(token, id)
        pieceLengthMax = Math.max(pieceLengthMax, token.length)
      }
    }
    requireEveryByte(vocabulary, (byte) => byteIds.has(byte))
    this.#pieceLengthMax = pieceLengthMax
    this.#byteIds = byteIds.size === 256 ? Array.from({ length: 256 }, (_, byte) => byteIds.get(byte)!) : undefined
    this.#merger = new PairMerger(this.#mergeTable(ranksOfScores(metadata, vocabulary.size)))
  }

  encodeText(text: string, starts: boolean, ids: Array<number>): void {
    const spelled = (starts && this.addsSpace ? ` ${text}` : text).replaceAll(" ", spelledSpace)
    const symbols = new Int32Array(spelled.length)
    let count = 0
    for (const character of spelled) symbols[count++] = this.#symbolOf(character)
    const left = this.#merger.merge(symbols, count)
    let isAfterUnknown = false
    for (let i = 0; i < left; i++) {
      const symbol = symbols[i]!
      const isPiece = symbol < this.#vocabulary.size
      if (isPiece) ids.push(symbol)
      else if (this.#byteIds)
        for (const byte of new TextEncoder().encode(this.#textOf(symbol))) ids.push(this.#byteIds[byte]!)
      else if (!isAfterUnknown && this.#vocabulary.unknown !== undefined) ids.push(this.#vocabulary.unknown)
      isAfterUnknown = !isPiece
    }
  }

  textBytes(id: number): Uint8Array {
    return new TextEncoder().encode(this.#vocabulary.tokens[id]!.replaceAll(spelledSpace, " "))
  }

  // A symbol is a token, or vocabulary size + code point for a character that no token spells.
  #symbolOf(character: string): number {
    return this.#pieces.get(character) ?? this.#vocabulary.size + character.codePointAt(0)!
  }

  #textOf(symbol: number): string {
    const { size, tokens } = this.#vocabulary
    return symbol < size ? tokens[symbol]! : String.fromCodePoint(symbol - size)
  }

  /** A merge is named by the token it makes. */
  #mergeTable(rank: Uint32Array): MergeTable {
    return {
      rank,
      merged: Uint32Array.from({ length: rank.length }, (_, id) => id),
      find: (left, right) => {
        const leftText = this.#textOf(left)
        const rightText = this.#textOf(right)
        // Keeps the strings short whatever the symbols are.
        if (leftText.length + rightText.length > this.#pieceLengthMax) return -1
        return this.#pieces.get(leftText + rightText) ?? -1
      }
    }
  }
}

/** Tokens in descending order of their score; equal scores share a rank. */
const ranksOfScores = (metadata: TokenizerMetadata, size: number): Uint32Array => {
  const scores = metadata.numbers("tokenizer.ggml.scores")
  if (scores.length !== size) {
    throw new InvalidVocabulary({ reason: `there are ${size} tokens, but ${scores.length} scores` })
  }
  const distinct = [...new Set(scores)].sort((a, b) => b - a)
  if (!distinct.every(Number.isFinite)) throw new InvalidVocabulary({ reason: "a score is not a finite number" })
  if (distinct.length > rankLimit) throw new InvalidVocabulary({ reason: `there are more than ${rankLimit} scores` })
  const rankOfScore = new Map(distinct.map((score, rank) => [score, rank]))
  return Uint32Array.from(scores, (score) => rankOfScore.get(score)!)
}
