// How does a text of any length become windows of tokens, without ever being in memory whole?
import { createHash } from "node:crypto"
import { closeSync, openSync, readSync } from "node:fs"
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import { documentMark } from "./evaluation_text.ts"

/** A text to run cannot be read, or is not what its name says. */
export class CorpusUnreadable extends Schema.TaggedError<CorpusUnreadable>()("CorpusUnreadable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot read the text ${this.path}: ${this.reason}`
  }
}

/** A text that has been read once, so that nothing but the system can fail when it is read again. */
export interface Corpus {
  readonly name: string
  /** Of its bytes. */
  readonly sha256: string
  readonly sizeBytes: number
  /** Documents, each in pieces that end at a line where they can; a new pass with each call. */
  readonly documents: () => Iterable<Iterable<CorpusPiece>>
}

/** A part of a document, and where it lies in the file, about. */
export interface CorpusPiece {
  readonly text: string
  readonly startByte: number
  readonly endByte: number
}

/** Read and tokenized at once. Long texts are tokenized in pieces of about so many bytes. */
const pieceBytes = 65_536

/**
 * Reads a text once: its hash, and that it is valid. A name that ends in .jsonl: a document a line, under the key "text"; else the whole is one document.
 *
 * - fails  with `CorpusUnreadable`
 */
export const openCorpus = Effect.fnUntraced(function* (path: string) {
  return yield* checkCorpus(basename(path), path, () => fileChunks(path))
})

/** The same of bytes at hand: one document. */
export const corpusOfBytes = (name: string, bytes: Uint8Array): Effect.Effect<Corpus, CorpusUnreadable> =>
  checkCorpus(name, name, function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  })

const checkCorpus = (name: string, path: string, chunks: () => Iterable<Uint8Array>) =>
  Effect.try({
    try: (): Corpus => {
      const hash = createHash("sha256")
      let sizeBytes = 0
      for (const chunk of chunks()) {
        hash.update(chunk)
        sizeBytes += chunk.length
      }
      const documents = path.endsWith(".jsonl") ? () => lineDocuments(chunks()) : () => [textPieces(chunks())]
      let isEmpty = true
      for (const document of documents()) for (const { text } of document) isEmpty &&= text === ""
      if (isEmpty) throw new Error("there is nothing in it")
      return { name, sha256: hash.digest("hex"), sizeBytes, documents }
    },
    catch: (cause) => {
      const { code, message } = cause as NodeJS.ErrnoException
      return new CorpusUnreadable({ path, reason: code === "ENOENT" ? "there is no such file" : message })
    }
  })

function* fileChunks(path: string): Generator<Uint8Array> {
  const descriptor = openSync(path, "r")
  try {
    for (;;) {
      const chunk = new Uint8Array(pieceBytes)
      const count = readSync(descriptor, chunk)
      if (count === 0) return
      yield chunk.subarray(0, count)
    }
  } finally {
    closeSync(descriptor)
  }
}

/** The text, decoded chunk by chunk; throws where it is not UTF-8. */
function* decoded(chunks: Iterable<Uint8Array>): Generator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  let readBytes = 0
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode()
    } catch {
      throw new Error(`it is not UTF-8, after byte ${readBytes}`)
    }
  }
  for (const chunk of chunks) {
    yield decode(chunk)
    readBytes += chunk.length
  }
  decode()
}

/** Places a text behind the one before. */
const openPlaces = () => {
  let at = 0
  return (text: string, textBytes: number): CorpusPiece => {
    const startByte = at
    at += textBytes
    return { text, startByte, endByte: at }
  }
}

/** Cut after the last line, else before the last space of what has been read: a tokenizer seldom has a token across. */
function* textPieces(chunks: Iterable<Uint8Array>): Generator<CorpusPiece> {
  const place = openPlaces()
  const pieceOf = (text: string) => place(text, Buffer.byteLength(text))
  let held = ""
  for (const text of decoded(chunks)) {
    held += text
    // Without lines and spaces a piece ends where a chunk does: between two characters.
    const end = held.lastIndexOf("\n") + 1 || held.lastIndexOf(" ")
    const cut = end > 0 ? end : held.length
    yield pieceOf(held.slice(0, cut))
    held = held.slice(cut)
  }
  if (held !== "") yield pieceOf(held)
}

const Line = Schema.fromJsonString(Schema.Struct({ text: Schema.String }))
const decodeLine = Schema.decodeUnknownResult(Line)

/** A document a line; lines of nothing but space are none. */
function* lineDocuments(chunks: Iterable<Uint8Array>): Generator<ReadonlyArray<CorpusPiece>> {
  const place = openPlaces()
  let held = ""
  let number = 0
  const documentOf = (line: string): ReadonlyArray<CorpusPiece> => {
    number++
    const read = line.trim() === "" ? undefined : decodeLine(line)
    if (read?._tag === "Failure") throw new Error(`line ${number} is no JSON object with a text under "text"`)
    return [place(read?.success.text ?? "", Buffer.byteLength(line) + 1)]
  }
  for (const text of decoded(chunks)) {
    const lines = (held + text).split("\n")
    held = lines.pop()!
    for (const line of lines) yield documentOf(line)
  }
  if (held !== "") yield documentOf(held)
}

/** Tokens that run together from an empty KV cache. */
export interface TokenWindow {
  readonly tokens: ReadonlyArray<number>
  /** Share of the text that lies before its end, about: 0 … 1. */
  readonly progress: number
}

/** Which windows of a text to run. */
export interface WindowChoice {
  /** Of one window; the last one of a document may have fewer. */
  readonly windowTokens: number
  /** Most windows of each text, spread evenly over it; absent: all. */
  readonly windowCountMax?: number
  /** Each window begins with the token that begins a document, where the tokenizer adds one; false: only documents do. */
  readonly bos: boolean
}

/**
 * The windows of a corpus. Documents of a text file, which `<|doc|>` lines part, run into each other; those of JSONL have windows of their own.
 *
 * A part is spread over the text because texts change as they go on: 48 windows from the beginning of a text of 121 may fire 9% more often in a block
 * than all do, 48 that are spread 0.1%.
 */
export function* tokenWindows(
  corpus: Corpus,
  tokenizer: Tokenizer,
  { windowTokens, windowCountMax = Infinity, bos }: WindowChoice
): Generator<TokenWindow> {
  const begin = tokenizer.addsBos && tokenizer.bos !== undefined ? [tokenizer.bos] : []
  let taken = 0
  /** The next window is the first that ends at or behind this byte. */
  const wantedByte = () => ((taken + 0.5) / windowCountMax) * corpus.sizeBytes
  const isWanted = (endByte: number) => taken < windowCountMax && endByte >= wantedByte()
  const take = (tokens: ReadonlyArray<number>, endByte: number): TokenWindow => {
    taken++
    return { tokens, progress: Math.min(1, endByte / corpus.sizeBytes) }
  }
  for (const document of corpus.documents()) {
    let held: Array<number> = []
    let begins = true
    let documentEnd = 0
    /** What a window that begins at this token begins with besides. */
    const prefixAt = (at: number) => (bos && held[at] !== begin[0] ? begin : [])
    for (const { text, startByte, endByte } of document) {
      documentEnd = endByte
      if (!isWanted(endByte)) {
        // Nothing is tokenized for nothing: a part of a large text is quickly had.
        held = []
        begins = false
        continue
      }
      const tokens = pieceTokens(text, tokenizer)
      if (begins && tokens.length > 0) {
        held.push(...begin)
        begins = false
      }
      for (const token of tokens) held.push(token)
      let start = 0
      for (;;) {
        const prefix = prefixAt(start)
        const end = start + windowTokens - prefix.length
        if (end > held.length) break
        const windowEnd = startByte + (end / held.length) * (endByte - startByte)
        if (isWanted(windowEnd)) yield take([...prefix, ...held.slice(start, end)], windowEnd)
        start = end
      }
      held = held.slice(start)
    }
    if (held.length > 0 && isWanted(documentEnd)) yield take([...prefixAt(0), ...held], documentEnd)
  }
}

const marks = new RegExp(documentMark, "gm")

/** Between documents stand the tokens that end one and begin the next. */
const pieceTokens = (text: string, tokenizer: Tokenizer): ReadonlyArray<number> => {
  const between = [tokenizer.eos, tokenizer.bos].filter((token) => token !== undefined)
  return text
    .split(marks)
    .flatMap((document, index) => [
      ...(index === 0 ? [] : between),
      ...tokenizer.encode(document, { addSpecial: false })
    ])
}
