// Goal: nothing reaches native memory that is shorter than what is read or written there, and the reused buffers show each batch its own rows.
// Method: an opened trained model, handed arrays of the wrong size; then batches that want none, one and all of their logits.
import { expect, test } from "bun:test"
import { Batch, type Device, NeuronSet } from "@powerinfer/core"
import { runBatch } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { openOnCpu, reluModel } from "./open_on_cpu.ts"

const blockCount = 6
const tokens = [1, 398, 339, 631, 284]

const withDevice = (use: (device: Device, batchOf: (logitRows: ReadonlyArray<number>) => Batch) => void) =>
  Effect.gen(function* () {
    const device = yield* openOnCpu(reluModel, { threads: 1 }, { sparse: false })
    const cache = yield* device.openCache(tokens.length, "f32")
    const batchOf = (logitRows: ReadonlyArray<number>) => {
      const batch = new Batch(tokens.length)
      for (const [position, token] of tokens.entries()) batch.add(token, position, cache, logitRows.includes(position))
      return batch
    }
    use(device, batchOf)
  }).pipe(Effect.scoped, Effect.runPromise)

test("activations() refuses an array that is shorter than the batch", () =>
  withDevice((device, batchOf) => {
    const batch = batchOf([])
    device.embed(batch)
    const hidden = device.attend(batch, 0)
    expect(() => device.activations(0, hidden, new Float32Array(1023))).toThrow(RangeError)
  }))

test("startFfn() refuses hidden rows of another device that are shorter than they say", () =>
  withDevice((device, batchOf) => {
    const batch = batchOf([])
    device.embed(batch)
    const { rowCount, width, values } = device.attend(batch, 0)
    const short = { rowCount, width, values: values.slice(1) }
    expect(() => device.startFfn(0, short, undefined, false)).toThrow(RangeError)
  }))

test("startFfn() refuses a neuron set of another width or another number of rows", () =>
  withDevice((device, batchOf) => {
    const batch = batchOf([])
    device.embed(batch)
    const hidden = device.attend(batch, 0)
    const narrow = new NeuronSet(31, 8)
    narrow.rowCount = tokens.length
    const oneRow = new NeuronSet(1024, 8)
    oneRow.rowCount = 1
    for (const active of [narrow, oneRow]) {
      expect(() => device.startFfn(0, hidden, active, false)).toThrow(/neuron set/)
    }
  }))

test("mergeFfn() refuses a partial result that is shorter than the batch", () =>
  withDevice((device, batchOf) => {
    const batch = batchOf([])
    device.embed(batch)
    device.attend(batch, 0)
    expect(() => device.mergeFfn(0, [{ wait: () => new Float32Array(1) }])).toThrow(RangeError)
  }))

test("logits() returns the wanted rows, whatever the batches before wanted", () =>
  withDevice((device, batchOf) => {
    const run = (logitRows: ReadonlyArray<number>) => runBatch(device, blockCount, batchOf(logitRows)).slice()
    const all = run([0, 1, 2, 3, 4])
    const vocabularySize = all.length / tokens.length
    const row = (index: number) => all.subarray(index * vocabularySize, (index + 1) * vocabularySize)
    expect(run([])).toHaveLength(0)
    expect(run([3])).toEqual(row(3))
    expect(run([1, 4])).toEqual(Float32Array.from([...row(1), ...row(4)]))
    expect(run([0, 1, 2, 3, 4])).toEqual(all)
  }))
