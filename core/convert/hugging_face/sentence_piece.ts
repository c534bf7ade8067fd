// Which pieces does a SentencePiece model (tokenizer.model) hold? A protobuf message of which these fields are read:
//
//   1 pieces: repeated { 1 piece: text, 2 score: f32, 3 type: enum }
//   2 trainer_spec: { 3 model_type: enum }         3 normalizer_spec: { 3 add_dummy_prefix: bool }
//
// Source: google/sentencepiece, src/sentencepiece_model.proto. Piece types are numbered as llama.cpp's token types are.
import { TokenType } from "../../tokenizer/vocabulary.ts"
import { ConversionImpossible, ForeignFileInvalid } from "../conversion_error.ts"
import { readWhole } from "./json_file.ts"

export interface SentencePieces {
  readonly tokens: ReadonlyArray<string>
  readonly scores: ReadonlyArray<number>
  /** `TokenType`s. */
  readonly types: ReadonlyArray<number>
  /** A text is read as if it began with a space. */
  readonly addsSpacePrefix: boolean
}

/** The largest published vocabularies have 256,000. */
const pieceCountMax = 1 << 21
/** `model_type`: merges in the order of their scores. The default, 1, chooses the likeliest way to cut a text instead. */
const bpe = 2

/** Throws `ForeignFileInvalid`, `ConversionImpossible` (a model that is no BPE), and what `withFile` does. */
export const readSentencePieces = (path: string): SentencePieces => {
  const tokens: Array<string> = []
  const scores: Array<number> = []
  const types: Array<number> = []
  let modelType = 1
  let addsSpacePrefix = true
  for (const field of fieldsOf(path, readWhole(path))) {
    if (field.number === 1) {
      if (tokens.length === pieceCountMax) throw invalid(path, `it has more than ${pieceCountMax} pieces`)
      const piece = readPiece(path, tokens.length, messageOf(path, field))
      tokens.push(piece.token)
      scores.push(piece.score)
      types.push(piece.type)
    } else if (field.number === 2) {
      for (const { number, value } of fieldsOf(path, messageOf(path, field)))
        if (number === 3) modelType = Number(value)
    } else if (field.number === 3) {
      for (const { number, value } of fieldsOf(path, messageOf(path, field)))
        if (number === 3) addsSpacePrefix = value !== 0n
    }
  }
  if (tokens.length === 0) throw invalid(path, "it has no pieces")
  if (modelType !== bpe) {
    throw new ConversionImpossible({
      path,
      reason: `its vocabulary is of the kind ${modelType === 1 ? "unigram" : modelType}, which is not supported`,
      remedy: "use a model with a BPE vocabulary"
    })
  }
  return { tokens, scores, types, addsSpacePrefix }
}

const readPiece = (path: string, id: number, message: Uint8Array) => {
  let token: string | undefined
  let score = 0
  let type: number = TokenType.normal
  for (const { number, value } of fieldsOf(path, message)) {
    if (number === 1 && value instanceof Uint8Array) token = utf8(path, id, value)
    if (number === 2 && typeof value === "number") score = value
    if (number === 3 && typeof value === "bigint") type = Number(value)
  }
  if (token === undefined) throw invalid(path, `piece ${id} has no text`)
  if (!Number.isFinite(score)) throw invalid(path, `piece ${id} has the score ${score}`)
  if (type < TokenType.normal || type > TokenType.byte) throw invalid(path, `piece ${id} has the unknown type ${type}`)
  return { token, score, type }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const utf8 = (path: string, id: number, bytes: Uint8Array): string => {
  try {
    return decoder.decode(bytes)
  } catch {
    throw invalid(path, `piece ${id} is no UTF-8`)
  }
}

const invalid = (path: string, reason: string) => new ForeignFileInvalid({ path, reason })

interface Field {
  readonly number: number
  /** A varint, an f32, or the bytes of a text or message; of a 64-bit number its bytes. */
  readonly value: bigint | number | Uint8Array
}

const messageOf = (path: string, { number, value }: Field): Uint8Array => {
  if (value instanceof Uint8Array) return value
  throw invalid(path, `its field ${number} is no message`)
}

/** The fields of a protobuf message. Throws `ForeignFileInvalid` where one reaches past its end. */
function* fieldsOf(path: string, bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw invalid(path, "it ends within a number")
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
    throw invalid(path, "it holds a number of more than 64 bits")
  }
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw invalid(path, `it ends within a field of ${length} bytes`)
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const key = Number(varint())
    const number = Math.floor(key / 8)
    const kind = key % 8
    if (number < 1 || number >= 1 << 29) throw invalid(path, `it is no protobuf message (field ${number})`)
    if (kind === 0) yield { number, value: varint() }
    else if (kind === 1) yield { number, value: take(8) }
    else if (kind === 2) yield { number, value: take(Number(varint())) }
    else if (kind === 5) {
      take(4)
      yield { number, value: view.getFloat32(at - 4, true) }
    } else throw invalid(path, `it is no protobuf message (wire type ${kind})`)
  }
}
