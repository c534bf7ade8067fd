// Goal: what a trace says about a predictor is what an evaluation measures, as far as a dense run's inputs can tell.
// Method: a trace of the windows that an evaluation runs, written here from a dense plan; predictors whose recall is known.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  cutWindows,
  evaluate,
  type EvaluationWindow,
  openModel,
  openPlan,
  openTrace,
  type PluginUse,
  randomFromSeed,
  replay,
  usePlugin
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { everyNeuron, exactGate, planOptions, reference } from "../support/plans.ts"
import { writeTrace } from "../support/write_trace.ts"
import partOfFired from "../support/plugins/part_of_fired.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-replay-"))
const path = join(folder, "relu.gguf")
const tracePath = join(folder, "trace.arrow")

const random = randomFromSeed(5)
const text = Array.from({ length: 100 }, () => 3 + (random.nextU32() % 200))
let windows: ReadonlyArray<EvaluationWindow>

const openOne = Effect.fnUntraced(function* (predictor: PluginUse<"predictor">) {
  const options = planOptions({ backends: [reference], predictor, rowCountMax: 8, sparseRowCountMax: 4 })
  return yield* openPlan(yield* openModel(path), options, () => {})
})

beforeAll(async () => {
  await Effect.runPromise(writeTinyModel(path, { family: "llama", seed: 1, activation: "relu" }))
  const options = { protocol: "llama.cpp", windowLength: 21 } as const
  windows = await Effect.runPromise(cutWindows(text, { bos: 1, addsBos: true }, options))
  await Effect.runPromise(
    Effect.scoped(Effect.flatMap(openOne(everyNeuron), (plan) => writeTrace(tracePath, plan, windows)))
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const replayed = (use: PluginUse<"predictor">) =>
  Effect.gen(function* () {
    const model = yield* openModel(path)
    const trace = yield* openTrace(tracePath, model)
    const options = { plan: { rowCountMax: 8 }, cacheType: "f32", seed: 1, announce: () => {} } as const
    return yield* replay(trace, model, use, options)
  }).pipe(Effect.scoped)

const evaluated = (use: PluginUse<"predictor">) =>
  Effect.gen(function* () {
    const [dense, asked] = [yield* openOne(everyNeuron), yield* openOne(use)]
    const options = { windows, cacheType: "f32", seed: 1, promptCount: 0, decodeWindows: 4 } as const
    return yield* evaluate(dense, asked, options)
  }).pipe(Effect.scoped)

describe("replay()", () => {
  for (const [name, use] of [
    ["every_neuron", everyNeuron],
    ["exact_gate", exactGate],
    ["a predictor that names all that fire", usePlugin(partOfFired, { step: 1, bytes: 500 })]
  ] as const) {
    test(`predicts what an evaluation of ${name} measures: exact runs have the trace's inputs`, async () => {
      const predicted = await Effect.runPromise(replayed(use))
      const { selection, decode } = await Effect.runPromise(evaluated(use))
      expect(predicted.rowCount).toBe(windows.length * windows[0]!.targets.length)
      expect(predicted.selection!.recall).toEqual(selection!.recall)
      expect(predicted.selection!.precision!.value).toBeCloseTo(selection!.precision!.value, 12)
      expect(predicted.selection!.blocks).toHaveLength(selection!.blocks.length)
      expect(predicted.cacheBytes).toBeCloseTo(decode!.asked.cacheBytes, 6)
      expect(predicted.predictorBytes).toBe(decode!.asked.predictorBytes)
      // What looks at the truth reads for that, too, which no predictor does.
      if (use === everyNeuron) expect(predicted.weightBytes).toBeCloseTo(decode!.asked.weightBytes, 6)
      if (use === exactGate) expect(predicted.weightBytes / decode!.asked.weightBytes).toBeCloseTo(1, 1)
    })
  }

  test("knows the recall of a predictor that names half of what fires", async () => {
    const { selection } = await Effect.runPromise(replayed(usePlugin(partOfFired, { step: 2 })))
    expect(selection!.precision!.value).toBe(1)
    expect(selection!.recall!.value).toBeGreaterThanOrEqual(0.5)
    expect(selection!.recall!.value).toBeLessThan(0.52)
  })

  test("says why a predictor cannot be replayed", async () => {
    const error = await Effect.runPromise(Effect.flip(replayed(usePlugin(partOfFired, { step: 1, refuses: true }))))
    expect(error._tag).toBe("PredictorMismatch")
  })
})
