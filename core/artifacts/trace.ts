// What went into every FFN of a model and which neurons fired, token by token? An Arrow file, one record batch after another.
//
// Record batch i holds consecutive rows of block i mod block_count: a run writes what each block sees as it goes along, and a reader that wants one
// block reads its batches alone. Layout: docs/file_formats.md.
import { createHash } from "node:crypto"
import { closeSync, fsyncSync, ftruncateSync, openSync, fstatSync } from "node:fs"
import type { Field, Schema as ArrowSchema } from "apache-arrow"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { f16ToF32, f32ToF16 } from "../gguf/float16.ts"
import type { Model, ModelShape } from "../model/model.ts"
import type { TrainingRows } from "../predictor.ts"
import { attemptWrite } from "../whole_file.ts"
import { ArtifactUnreadable, ModelIdentity, requireMadeFor } from "./artifact.ts"
import type { ArrowFile, BatchPlace } from "./arrow_file.ts"

const artifact = "trace"
const madeBy = "powerinfer profile --trace"
const format = "powerinfer.trace"
/** Raised when files of before can no longer be read. */
const version = 1

const Size = Schema.Int.check(Schema.isGreaterThan(0))

/** What a trace says about itself: metadata of its schema, under the key "powerinfer" as JSON. */
const About = Schema.Struct({
  format: Schema.Literal(format),
  version: Schema.Int,
  model: ModelIdentity,
  blockCount: Size,
  hiddenWidth: Size,
  ffnWidth: Size,
  /** A neuron fires if |activation| is above this share of the root mean square of its row; 0: if it is not zero. */
  threshold: Schema.Finite,
  /** In the order they were run; `sha256` is of their bytes. */
  corpora: Schema.Array(Schema.Struct({ name: Schema.String, sha256: Schema.String }))
})
const AboutJson = Schema.fromJsonString(About)
const metadataKey = "powerinfer"

/** What a trace is of. */
export type TraceSubject = Omit<typeof About.Type, "format" | "version">

/** Consecutive rows of one block. Borrowed: valid until the next ones are asked for. Arrays hold `rowCount` rows, or more of which the first count. */
export interface TraceRows extends TrainingRows {
  /** u32[row_count]: which window a row belongs to, from 0 on over all corpora. Each began with an empty KV cache. */
  readonly windows: Uint32Array
  /** u32[row_count] */
  readonly tokens: Uint32Array
  /** u32[row_count]: the row's place in its window. */
  readonly positions: Uint32Array
  /** Bit n of a row's words: neuron n fired. u32[row_count, ceil(ffn_width / 32)]. */
  readonly active: Uint32Array
}

/** An opened trace. */
export interface Trace extends TraceSubject {
  /** Of every block: tokens that were run. */
  readonly rowCount: number
  /** Tells traces apart: SHA-256 of the size, and of 64 samples of 4 KiB spread over the file. */
  readonly sha256: string
  /**
   * The rows of a block in the order they were run; a new pass with each call, and several may go on at once. What neurons that did not fire had
   * for an activation is not kept: it is 0 here.
   *
   * - throws  `ArtifactUnreadable` where the file is damaged
   */
  readonly rows: (block: number) => Iterable<TraceRows>
}

/** Writes a trace, batch by batch. */
export interface TraceWriter {
  /** Bytes of the batches so far: where to go on after an interruption. */
  readonly sizeBytes: number
  /** Appends rows of a block. Blocks come in turns, 0 … block_count − 1, with the same rows. Throws what the system says. */
  append(block: number, rows: TraceRows): void
  /** Everything so far is on the disk when this returns. */
  sync(): void
  /** Writes the footer: the file is whole. */
  end(): void
}

/**
 * Opens a trace for writing; closed with the scope.
 *
 * - `sizeBytes`  of a trace that goes on: what `TraceWriter.sizeBytes` was; what lies behind it is dropped. 0 begins one.
 * - fails        with `FileUnwritable`; with `ArtifactUnreadable` if what is there cannot be gone on with
 */
export const openTraceWriter = Effect.fnUntraced(function* (path: string, subject: TraceSubject, sizeBytes = 0) {
  const arrow = yield* Effect.promise(() => import("apache-arrow"))
  const { ArrowFileWriter } = yield* Effect.promise(() => import("./arrow_file.ts"))
  const descriptor = yield* openDescriptor(path, sizeBytes === 0 ? "w" : "r+")
  yield* attemptWrite(path, () => ftruncateSync(descriptor, sizeBytes))
  const { hiddenWidth, ffnWidth } = subject
  const wordsPerRow = Math.ceil(ffnWidth / 32)
  const schema = schemaOf(arrow, subject)
  const file = yield* Effect.try({
    try: () => new ArrowFileWriter(descriptor, schema, sizeBytes),
    catch: (cause) => unreadable(path, (cause as Error).message)
  })
  const struct = new arrow.Struct(schema.fields)
  const types = schema.fields.map((field: Field) => field.type)
  const half = new arrow.Float16()

  const writer: TraceWriter = {
    get sizeBytes() {
      return file.sizeBytes
    },
    append: (block, rows) => {
      const { rowCount: length } = rows
      const hidden = Uint16Array.from({ length: length * hiddenWidth }, (_, at) => toHalf(rows.hidden[at]!))
      const offsets = new Int32Array(length + 1)
      const magnitudes = new Uint16Array(length * ffnWidth)
      let count = 0
      for (let row = 0; row < length; row++) {
        count = eachActive(rows.active, row * wordsPerRow, wordsPerRow, count, (neuron, at) => {
          magnitudes[at] = toFiringHalf(rows.activations[row * ffnWidth + neuron]!)
        })
        offsets[row + 1] = count
      }
      const column = (at: number, data: ArrayBufferView) =>
        arrow.makeData({ type: types[at], length, nullCount: 0, data } as never)
      const halves = (data: Uint16Array) => arrow.makeData({ type: half, length: data.length, nullCount: 0, data })
      const words = rows.active.subarray(0, length * wordsPerRow)
      const children = [
        column(0, new Uint16Array(length).fill(block)),
        column(1, rows.windows.subarray(0, length)),
        column(2, rows.tokens.subarray(0, length)),
        column(3, rows.positions.subarray(0, length)),
        arrow.makeData({ type: types[4], length, nullCount: 0, child: halves(hidden) } as never),
        column(5, new Uint8Array(words.buffer, words.byteOffset, words.byteLength)),
        arrow.makeData({
          type: types[6],
          length,
          nullCount: 0,
          valueOffsets: offsets,
          child: halves(magnitudes.subarray(0, count))
        } as never)
      ]
      file.append(new arrow.RecordBatch(schema, arrow.makeData({ type: struct, length, nullCount: 0, children })))
    },
    sync: () => fsyncSync(descriptor),
    end: () => file.end()
  }
  return writer
})

const openDescriptor = (path: string, flags: "w" | "r+") =>
  Effect.acquireRelease(
    attemptWrite(path, () => openSync(path, flags)),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  )

const schemaOf = (arrow: typeof import("apache-arrow"), subject: TraceSubject): ArrowSchema => {
  const { hiddenWidth, ffnWidth } = subject
  const half = new arrow.Field("item", new arrow.Float16(), false)
  const field = (name: string, type: ConstructorParameters<typeof arrow.Field>[1]) => new arrow.Field(name, type, false)
  const about = Schema.encodeSync(AboutJson)({ format, version, ...subject })
  return new arrow.Schema(
    [
      field("block", new arrow.Uint16()),
      field("window", new arrow.Uint32()),
      field("token", new arrow.Uint32()),
      field("position", new arrow.Uint32()),
      field("hidden", new arrow.FixedSizeList(hiddenWidth, half)),
      field("active", new arrow.FixedSizeBinary(4 * Math.ceil(ffnWidth / 32))),
      field("activations", new arrow.List(half))
    ],
    new Map([[metadataKey, about]])
  )
}

/** Which buffer of a record batch holds what: each column has one for nulls, which is empty, then its own. */
const buffers = {
  block: 1,
  window: 3,
  token: 5,
  position: 7,
  hidden: 10,
  active: 12,
  offsets: 14,
  activations: 16,
  count: 17
}

/**
 * Opens a trace; closed with the scope.
 *
 * - fails  with `ArtifactUnreadable`; with `StaleArtifact` if it was made for another model; with `GgufError` if the model's files have gone
 * - cost   reads the head of every record batch: some 500 bytes each
 */
export const openTrace = Effect.fnUntraced(function* (path: string, model: Model) {
  const { readArrowFile, readInto } = yield* Effect.promise(() => import("./arrow_file.ts"))
  const descriptor = yield* Effect.acquireRelease(
    attempt(path, () => openSync(path, "r")),
    (opened) => Effect.sync(() => closeSync(opened))
  )
  const file = yield* attempt(path, () => readArrowFile(descriptor, fstatSync(descriptor).size))
  const about = yield* readAbout(path, file)
  yield* requireMadeFor({ artifact, path, madeBy }, about.model, model)
  yield* checkShape(path, about, model.shape)
  yield* attempt(path, () => checkBatches(file, about))
  const read = (offset: number, into: Uint8Array) => readInto(descriptor, offset, into)
  const sha256 = yield* attempt(path, () => sampleHash(fstatSync(descriptor).size, read))
  return traceOf(path, about, { ...file, sha256 }, read)
})

const readAbout = Effect.fnUntraced(function* (path: string, { schema }: ArrowFile) {
  const text = schema.metadata.get(metadataKey)
  if (text === undefined) return yield* unreadable(path, `it is no ${artifact}`)
  const about = Schema.decodeResult(AboutJson)(text)
  if (Result.isFailure(about)) return yield* unreadable(path, `it is no ${artifact}: ${about.failure.message}`)
  if (about.success.version !== version) {
    return yield* unreadable(path, `it has version ${about.success.version}, this program reads ${version}`)
  }
  const arrow = yield* Effect.promise(() => import("apache-arrow"))
  const wanted = describeFields(schemaOf(arrow, about.success))
  const found = describeFields(schema)
  if (found !== wanted) return yield* unreadable(path, `its columns are ${found}; ${wanted} are wanted`)
  return about.success
})

const describeFields = ({ fields }: ArrowSchema): string => fields.map((field) => String(field)).join(", ")

/** The hash says that it is this model: only a trace that was tampered with gets here. */
const checkShape = (path: string, about: TraceSubject, shape: ModelShape) => {
  const same = (["blockCount", "hiddenWidth", "ffnWidth"] as const).every((key) => about[key] === shape[key])
  return same ? Effect.void : Effect.fail(unreadable(path, "its shape is not that of its model"))
}

/** Throws unless the blocks take turns with the same numbers of rows, and every column has its length. */
const checkBatches = ({ batches }: ArrowFile, { blockCount, hiddenWidth, ffnWidth }: TraceSubject): void => {
  if (batches.length % blockCount !== 0)
    throw new Error(`it has ${batches.length} record batches for ${blockCount} blocks`)
  const rowBytes = {
    block: 2,
    window: 4,
    token: 4,
    position: 4,
    hidden: 2 * hiddenWidth,
    active: 4 * Math.ceil(ffnWidth / 32)
  }
  for (const [index, batch] of batches.entries()) {
    const { rowCount } = batch
    const wrong = (what: string) => new Error(`record batch ${index} has ${what}`)
    if (rowCount !== batches[index - (index % blockCount)]!.rowCount)
      throw wrong(`${rowCount} rows, unlike other blocks`)
    if (batch.buffers.length !== buffers.count) throw wrong(`${batch.buffers.length} buffers`)
    for (const key of Object.keys(rowBytes) as ReadonlyArray<keyof typeof rowBytes>) {
      if (batch.buffers[buffers[key]]!.length < rowCount * rowBytes[key]) throw wrong(`too short a column ${key}`)
    }
    if (batch.buffers[buffers.offsets]!.length < 4 * (rowCount + 1)) throw wrong("too few offsets")
    if (batch.buffers.some(({ offset }) => offset % 4 !== 0)) throw wrong("columns that are not aligned")
  }
}

const traceOf = (
  path: string,
  about: typeof About.Type,
  { batches, sha256 }: ArrowFile & { readonly sha256: string },
  read: (offset: number, into: Uint8Array) => void
): Trace => {
  const { format: _format, version: _version, ...subject } = about
  const { blockCount, hiddenWidth, ffnWidth } = subject
  const wordsPerRow = Math.ceil(ffnWidth / 32)
  const rowCountMax = batches.reduce((most, { rowCount }) => Math.max(most, rowCount), 0)
  const bodyBytesMax = batches.reduce((most, { bodyBytes }) => Math.max(most, bodyBytes), 0)
  const damaged = (reason: string) => unreadable(path, `it is damaged: ${reason}`)

  function* rows(block: number): Generator<TraceRows> {
    const body = new ArrayBuffer(bodyBytesMax)
    const hidden = new Float32Array(rowCountMax * hiddenWidth)
    const activations = new Float32Array(rowCountMax * ffnWidth)
    for (let index = block; index < batches.length; index += blockCount) {
      const batch = batches[index]!
      const { rowCount } = batch
      try {
        read(batch.bodyOffset, new Uint8Array(body, 0, batch.bodyBytes))
      } catch (cause) {
        throw damaged((cause as Error).message)
      }
      const place = (key: Exclude<keyof typeof buffers, "count">): BatchPlace["buffers"][number] =>
        batch.buffers[buffers[key]]!
      const words = (key: "window" | "token" | "position" | "active") =>
        new Uint32Array(body, place(key).offset, place(key).length >>> 2)
      const halves = (key: "hidden" | "activations") =>
        new Uint16Array(body, place(key).offset, place(key).length >>> 1)
      const ids = new Uint16Array(body, place("block").offset, rowCount)
      if (ids.some((id) => id !== block)) throw damaged(`record batch ${index} is of block ${ids[0]}, not ${block}`)

      const widened = widenedHalves()
      const narrowHidden = halves("hidden")
      for (let at = 0; at < rowCount * hiddenWidth; at++) hidden[at] = widened[narrowHidden[at]!]!
      const active = words("active")
      const offsets = new Int32Array(body, place("offsets").offset, rowCount + 1)
      const narrow = halves("activations")
      activations.fill(0, 0, rowCount * ffnWidth)
      let count = 0
      for (let row = 0; row < rowCount; row++) {
        count = eachActive(active, row * wordsPerRow, wordsPerRow, count, (neuron, at) => {
          if (neuron >= ffnWidth) throw damaged(`record batch ${index} has a neuron ${neuron}`)
          activations[row * ffnWidth + neuron] = widened[narrow[at] ?? 0]!
        })
        if (offsets[row + 1] !== count)
          throw damaged(`record batch ${index} has more or fewer activations than neurons`)
      }
      yield {
        rowCount,
        windows: words("window"),
        tokens: words("token"),
        positions: words("position"),
        hidden,
        active,
        activations
      }
    }
  }

  const rowCount = batches.reduce((sum, batch, index) => (index % blockCount === 0 ? sum + batch.rowCount : sum), 0)
  return {
    ...subject,
    rowCount,
    sha256,
    rows: (block) => {
      if (!(block >= 0 && block < blockCount))
        throw new RangeError(`Cannot read block ${block}: there are ${blockCount}`)
      return { [Symbol.iterator]: () => rows(block) }
    }
  }
}

const sampleCount = 64
const sampleBytes = 4096

const sampleHash = (sizeBytes: number, read: (offset: number, into: Uint8Array) => void): string => {
  const hash = createHash("sha256").update(String(sizeBytes))
  const step = Math.max(0, sizeBytes - sampleBytes) / (sampleCount - 1)
  for (let sample = 0; sample < sampleCount; sample++) {
    const bytes = new Uint8Array(Math.min(sampleBytes, sizeBytes))
    read(Math.floor(sample * step), bytes)
    hash.update(bytes)
  }
  return hash.digest("hex")
}

/** Calls `see` with every neuron of a row and a number that counts on from `from`; returns the next number. */
const eachActive = (
  words: Uint32Array,
  start: number,
  wordsPerRow: number,
  from: number,
  see: (neuron: number, at: number) => void
): number => {
  let at = from
  for (let word = 0; word < wordsPerRow; word++) {
    for (let bits = words[start + word]!; bits !== 0; bits &= bits - 1) {
      see(word * 32 + 31 - Math.clz32(bits & -bits), at++)
    }
  }
  return at
}

const halfMax = 65504
/** The smallest number above zero. */
const halfMin = 2 ** -24

/** Halves have no room for some of what a model may compute: the largest stands for what is larger. */
const toHalf = (value: number): number => f32ToF16(Math.max(-halfMax, Math.min(halfMax, value)))

/** A neuron that fired has an activation, be it too small for a half. */
const toFiringHalf = (value: number): number =>
  Math.abs(value) < halfMin ? f32ToF16(value < 0 ? -halfMin : halfMin) : toHalf(value)

/** The float32 of every half: 256 KiB, five times as fast as to compute each. */
const widenedHalves = (): Float32Array =>
  (widened ??= Float32Array.from({ length: 65536 }, (_, half) => f16ToF32(half)))
let widened: Float32Array | undefined

const unreadable = (path: string, reason: string) => new ArtifactUnreadable({ artifact, path, reason, madeBy })

const attempt = <A>(path: string, evaluate: () => A) =>
  Effect.try({
    try: evaluate,
    catch: (cause) => unreadable(path, cause instanceof Error ? cause.message : String(cause))
  })
