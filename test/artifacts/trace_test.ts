// Goal: a trace comes back as it was written, block by block, also after an interruption and through another reader; what is damaged or of another
// model is refused by name.
// Method: seeded rows of a tiny model whose width fills no whole word, written to a temporary directory and read back.
import { describe, expect, test } from "bun:test"
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { identityOf, type Model, openTrace, openTraceWriter, type TraceRows, type TraceSubject } from "@powerinfer/core"
import { openTinyModel } from "@powerinfer/core/testing"
import { tableFromIPC } from "apache-arrow"
import { Effect, type Scope } from "effect"
import { inDirectory } from "../gguf/fixture.ts"

const shape = { blockCount: 3, hiddenWidth: 64, ffnWidth: 75 }
const wordsPerRow = 3
const open = (seed: number) => openTinyModel({ family: "llama", seed, activation: "relu", shape })
const run = <A>(effect: Effect.Effect<A, unknown, Scope.Scope>): Promise<A> => Effect.runPromise(Effect.scoped(effect))

const subjectOf = Effect.fnUntraced(function* (model: Model) {
  const corpora = [{ name: "a.txt", sha256: "00" }]
  const subject: TraceSubject = { model: yield* identityOf(model), ...shape, threshold: 0, corpora }
  return subject
})

/** Every third neuron, moved on with the row and the block, fires with a value that a half holds. */
const rowsOf = (block: number, window: number, rowCount: number): TraceRows => {
  const active = new Uint32Array(rowCount * wordsPerRow)
  const activations = new Float32Array(rowCount * shape.ffnWidth)
  for (let row = 0; row < rowCount; row++) {
    for (let neuron = (row + block) % 3; neuron < shape.ffnWidth; neuron += 3) {
      active[row * wordsPerRow + (neuron >>> 5)]! |= 1 << (neuron & 31)
      activations[row * shape.ffnWidth + neuron] = (neuron - 40 || 1) / 8
    }
  }
  return {
    rowCount,
    windows: new Uint32Array(rowCount).fill(window),
    tokens: Uint32Array.from({ length: rowCount }, (_, row) => 100 * window + row),
    positions: Uint32Array.from({ length: rowCount }, (_, row) => row),
    hidden: Float32Array.from({ length: rowCount * shape.hiddenWidth }, (_, at) => ((at * 7 + block) % 64) / 16 - 2),
    active,
    activations
  }
}

const windows = [5, 1, 4]

/** Windows [from, to) of the trace; goes on after `sizeBytes`. Returns the size after them. */
const write = Effect.fnUntraced(function* (path: string, model: Model, from = 0, to = windows.length, sizeBytes = 0) {
  const writer = yield* openTraceWriter(path, yield* subjectOf(model), sizeBytes)
  for (let window = from; window < to; window++) {
    for (let block = 0; block < shape.blockCount; block++) writer.append(block, rowsOf(block, window, windows[window]!))
  }
  writer.sync()
  const written = writer.sizeBytes
  if (to === windows.length) writer.end()
  return written
}, Effect.scoped)

/** The rows in use, in arrays of their own. */
const copyOf = (rows: TraceRows): TraceRows => ({
  ...rows,
  windows: rows.windows.slice(0, rows.rowCount),
  tokens: rows.tokens.slice(0, rows.rowCount),
  positions: rows.positions.slice(0, rows.rowCount),
  hidden: rows.hidden.slice(0, rows.rowCount * shape.hiddenWidth),
  active: rows.active.slice(0, rows.rowCount * wordsPerRow),
  activations: rows.activations.slice(0, rows.rowCount * shape.ffnWidth)
})

describe("openTrace()", () => {
  test("gives every block back as it was written, in several passes at once", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          const model = yield* open(1)
          yield* write(path("t.arrow"), model)
          const trace = yield* openTrace(path("t.arrow"), model)
          expect([trace.rowCount, trace.blockCount, trace.threshold]).toEqual([10, 3, 0])
          const passes = [2, 0, 2].map((block) => ({ block, rows: trace.rows(block)[Symbol.iterator]() }))
          for (const [window, rowCount] of windows.entries()) {
            for (const { block, rows } of passes) {
              expect(copyOf(rows.next().value!)).toEqual(rowsOf(block, window, rowCount))
            }
          }
          for (const { rows } of passes) expect(rows.next().done).toBe(true)
        })
      )
    ))

  test("keeps what a half cannot hold as the nearest that it can, and never as zero", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          const model = yield* open(1)
          const rows = rowsOf(0, 0, 1)
          rows.activations.set([1e-12, -1e9], 0)
          rows.active[0] = 0b11
          rows.hidden[0] = 1e6
          rows.activations.fill(0, 2)
          rows.active.fill(0, 1)
          const writer = yield* openTraceWriter(path("t.arrow"), yield* subjectOf(model))
          for (let block = 0; block < shape.blockCount; block++) writer.append(block, rows)
          writer.end()
          const [read] = (yield* openTrace(path("t.arrow"), model)).rows(0)
          expect([...read!.activations.subarray(0, 3), read!.hidden[0]]).toEqual([2 ** -24, -65504, 0, 65504])
        })
      )
    ))

  test("refuses a trace of another model by both names", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          yield* write(path("t.arrow"), yield* open(1))
          const error = yield* Effect.flip(openTrace(path("t.arrow"), yield* open(2)))
          expect(error._tag).toBe("StaleArtifact")
          expect(error.message).toMatch(/made for tiny-llama-1 .*this is tiny-llama-2 .*powerinfer profile --trace$/)
        })
      )
    ))

  test("refuses a trace that is cut off anywhere, or no trace", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          const model = yield* open(1)
          yield* write(path("t.arrow"), model)
          const whole = readFileSync(path("t.arrow"))
          for (let size = 0; size < whole.length; size += Math.ceil(whole.length / 40)) {
            writeFileSync(path("cut.arrow"), whole.subarray(0, size))
            expect((yield* Effect.flip(openTrace(path("cut.arrow"), model)))._tag).toBe("ArtifactUnreadable")
          }
          for (const other of ["none.arrow", model.gguf.files[0]!.path]) {
            expect((yield* Effect.flip(openTrace(other, model)))._tag).toBe("ArtifactUnreadable")
          }
        })
      )
    ))

  test("notices holes as it opens or reads, with a typed error", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          const model = yield* open(1)
          yield* write(path("t.arrow"), model)
          const whole = readFileSync(path("t.arrow"))
          let noticed = 0
          for (let at = 0; at < whole.length; at += 64) {
            const damaged = Uint8Array.from(whole)
            damaged.fill(0, at, at + 16)
            writeFileSync(path("damaged.arrow"), damaged)
            const readAll = Effect.gen(function* () {
              const trace = yield* openTrace(path("damaged.arrow"), model)
              yield* Effect.try({
                try: () => [0, 1, 2].map((block) => [...trace.rows(block)].length),
                catch: (cause) => cause as { readonly _tag: string }
              })
            })
            const result = yield* Effect.result(Effect.scoped(readAll))
            if (result._tag === "Success") continue
            noticed++
            expect(["ArtifactUnreadable", "StaleArtifact"]).toContain(result.failure._tag)
          }
          expect(noticed).toBeGreaterThan(50)
        })
      )
    ))
})

describe("openTraceWriter()", () => {
  test("goes on after an interruption with the same bytes, whatever was left behind the last whole batch", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          const model = yield* open(1)
          yield* write(path("whole.arrow"), model)
          const sizeBytes = yield* write(path("t.arrow"), model, 0, 1)
          const further = yield* write(path("t.arrow"), model, 1, 2, sizeBytes)
          truncateSync(path("t.arrow"), further - 3)
          copyFileSync(path("t.arrow"), path("again.arrow"))
          yield* write(path("again.arrow"), model, 1, windows.length, sizeBytes)
          expect(readFileSync(path("again.arrow")).equals(readFileSync(path("whole.arrow")))).toBe(true)
        })
      )
    ))

  test("writes what Arrow's own reader reads, as a file and as a stream", () =>
    inDirectory((path) =>
      run(
        Effect.gen(function* () {
          yield* write(path("t.arrow"), yield* open(1))
          const bytes = readFileSync(path("t.arrow"))
          // Behind the magic lies a stream, whose end the footer follows.
          for (const table of [tableFromIPC(bytes), tableFromIPC(bytes.subarray(8))]) {
            expect(table.numRows).toBe(30)
            expect(table.batches.map((batch) => batch.get(0)!["block"])).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
            const last = table.get(29)!
            const wanted = rowsOf(2, 2, 4)
            expect([last["window"], last["token"], last["position"]]).toEqual([2, 203, 3])
            expect([...last["hidden"]]).toEqual([...wanted.hidden.subarray(3 * 64)])
            expect([...last["activations"]]).toEqual(
              [...wanted.activations.subarray(3 * 75)].filter((value) => value !== 0)
            )
            expect(last["active"]).toEqual(new Uint8Array(wanted.active.slice(9).buffer))
            expect(JSON.parse(table.schema.metadata.get("powerinfer")!).format).toBe("powerinfer.trace")
          }
        })
      )
    ))
})
