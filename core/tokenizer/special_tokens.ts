// Where in a text are tokens spelled out that must be matched as a whole?
import type { EncodeOptions } from "./tokenizer.ts"
import { isControlType, TokenType, type Vocabulary } from "./vocabulary.ts"

/** A piece of plain text, or the id of the token that was spelled out there. */
export type Fragment = string | number

interface SpecialToken {
  readonly id: number
  readonly text: string
  readonly isControl: boolean
}

interface Piece {
  readonly text: string
  /** Of the piece in the whole text, in UTF-16 code units. */
  readonly start: number
}

/**
 * Cuts a text at the tokens that are spelled out in it.
 *
 * Longer tokens take precedence wherever they stand, then earlier ids; within one token, the leftmost occurrence:
 * the order of llama.cpp, `tokenizer_st_partition`. Its strip flags are not in the file format and not applied.
 */
export class SpecialTokens {
  readonly #tokens: ReadonlyArray<SpecialToken>

  constructor(vocabulary: Vocabulary) {
    const tokens: Array<SpecialToken> = []
    for (const [id, text] of vocabulary.tokens.entries()) {
      const isControl = isControlType(vocabulary.types[id])
      if (isControl || vocabulary.types[id] === TokenType.userDefined) tokens.push({ id, text, isControl })
    }
    const encoder = new TextEncoder()
    const sizes = new Map(tokens.map((token) => [token, encoder.encode(token.text).length]))
    this.#tokens = tokens.sort((a, b) => sizes.get(b)! - sizes.get(a)!)
  }

  /** Texts of the control and unknown tokens, by id. */
  get control(): ReadonlyMap<number, string> {
    return new Map(this.#tokens.filter((token) => token.isControl).map((token) => [token.id, token.text]))
  }

  /** In the order of the text; empty fragments are left out. `parse` decides about control tokens only. */
  partition(text: string, parse: NonNullable<EncodeOptions["parseSpecial"]>): Array<Fragment> {
    let pieces: Array<Piece | number> = text === "" ? [] : [{ text, start: 0 }]
    for (const token of this.#tokens) {
      // One native search over the whole text rules out nearly every token.
      if ((token.isControl && parse === false) || !text.includes(token.text)) continue
      const isMatch = (start: number) =>
        !token.isControl || typeof parse === "boolean" || parse(start, start + token.text.length)
      pieces = pieces.flatMap((piece) => (typeof piece === "number" ? piece : cut(piece, token, isMatch)))
    }
    return pieces.map((piece) => (typeof piece === "number" ? piece : piece.text))
  }
}

const cut = (piece: Piece, token: SpecialToken, isMatch: (start: number) => boolean): Array<Piece | number> => {
  const parts: Array<Piece | number> = []
  let end = 0
  const addText = (to: number) => {
    if (to > end) parts.push({ text: piece.text.slice(end, to), start: piece.start + end })
  }
  let at = piece.text.indexOf(token.text)
  while (at >= 0) {
    if (isMatch(piece.start + at)) {
      addText(at)
      parts.push(token.id)
      end = at + token.text.length
      at = piece.text.indexOf(token.text, end)
    } else {
      at = piece.text.indexOf(token.text, at + 1)
    }
  }
  addText(piece.text.length)
  return parts
}
