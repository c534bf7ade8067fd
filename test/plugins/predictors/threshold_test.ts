// Goal: threshold finds limits that drop the share of neurons asked for, by the magnitude its method names, and a device drops just those.
// Method: tiny SiLU models. What training finds is held against sorting; a run with thresholds against a dense run whose small activations were cut.
import { expect, test } from "bun:test"
import {
  activate,
  loadPlugin,
  type Model,
  openPredictorWeights,
  readTensor,
  type TrainingContext
} from "@powerinfer/core"
import { openTinyModel, predictorContext, predictorContract } from "@powerinfer/core/testing"
import plugin, { threshold, type ThresholdOptions } from "@powerinfer/predictor-threshold"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openFfnTruth } from "../../../core/testing/ffn_truth.ts"

const silu = openTinyModel({ family: "llama", seed: 1, activation: "silu", shape: { ffnWidth: 75 } })
const gelu = openTinyModel({ family: "falcon", seed: 2, activation: "gelu", shape: { ffnWidth: 75 } })

predictorContract({
  test,
  plugin,
  models: [
    ["gated silu", silu],
    ["ungated gelu", gelu]
  ]
})

test("threshold() loads by the module it names", async () => {
  expect((await Effect.runPromise(loadPlugin(threshold({ file: "x.gguf" })))).plugin).toBe(plugin)
})

test("threshold refuses to open without a file, and says how to get one", async () => {
  const opened = Effect.flatMap(silu, (model) => plugin.open({}, predictorContext(model)))
  const error = await Effect.runPromise(Effect.flip(Effect.scoped(opened)))
  expect(error._tag).toBe("PredictorFailure")
  expect(error.message).toContain("powerinfer train threshold")
})

const rowCount = 40

/** Trains on seeded rows and opens what came out. */
const trained = <A>(
  options: ThresholdOptions,
  openModel: typeof silu,
  use: (found: {
    readonly model: Model
    readonly of: (block: number) => {
      readonly gate: Float32Array | undefined
      readonly activation: Float32Array | undefined
    }
    readonly rows: (block: number) => { readonly hidden: Float32Array; readonly activations: Float32Array }
  }) => A
): Promise<A> =>
  Effect.gen(function* () {
    const model = yield* openModel
    const truth = openFfnTruth(model)
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "powerinfer-threshold-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true }))
    )
    const rows = (block: number) => {
      const hidden = truth.hidden(block, rowCount, 3 + block)
      const activations = new Float32Array(rowCount * model.shape.ffnWidth)
      truth.activations(block, hidden, activations)
      return { rowCount, hidden: hidden.values, activations }
    }
    const { openPredictor, ...context } = predictorContext(model)
    const path = join(folder, "thresholds.gguf")
    const training = { ...context, openPredictor, seed: 1, out: path, rowCount, rows: (block: number) => [rows(block)] }
    const learned = yield* plugin.train!(options, training as TrainingContext)
    const opened = yield* plugin.open(learned, predictorContext(model))
    expect(opened).toMatchObject({ proposes: "every", confirms: true, exact: false })
    const weights = yield* openPredictorWeights({ predictor: "threshold", path, model })
    expect(weights.gguf.metadata.string("powerinfer.threshold.method")).toBe(options.method!)
    return use({
      model,
      rows,
      of: (block) => ({ gate: opened.thresholds![block]!.gate, activation: opened.thresholds![block]!.activation })
    })
  }).pipe(Effect.scoped, Effect.runPromise)

const column = (model: Model, tensor: "up" | "down", block: number, neuron: number): Float32Array => {
  const { hiddenWidth, ffnWidth } = model.shape
  const values = readTensor(model.gguf, model.blocks[block]![tensor].weight)
  if (tensor === "up") return values.slice(neuron * hiddenWidth, (neuron + 1) * hiddenWidth)
  return Float32Array.from({ length: hiddenWidth }, (_, i) => values[i * ffnWidth + neuron]!)
}

/** |f(gate · x)| of every row and neuron. */
const gates = (model: Model, block: number, hidden: Float32Array): Float32Array => {
  const { hiddenWidth, ffnWidth } = model.shape
  const gate = readTensor(model.gguf, model.blocks[block]!.gate!.weight)
  return Float32Array.from({ length: rowCount * ffnWidth }, (_, at) => {
    const neuron = at % ffnWidth
    let sum = 0
    for (let i = 0; i < hiddenWidth; i++) {
      sum += gate[neuron * hiddenWidth + i]! * hidden[((at - neuron) / ffnWidth) * hiddenWidth + i]!
    }
    return Math.abs(activate("silu", sum))
  })
}

const shareBelow = (magnitudes: Float32Array, limits: Float32Array): number =>
  magnitudes.filter((magnitude, at) => magnitude <= limits[at % limits.length]!).length / magnitudes.length

test("threshold drops a share of the gates with cats, at one limit a block", () =>
  trained({ method: "cats", sparsity: 0.4 }, silu, ({ model, of, rows }) => {
    for (const block of [0, 1]) {
      const { gate, activation } = of(block)
      expect(activation).toBeUndefined()
      expect(new Set(gate).size).toBe(1)
      expect(shareBelow(gates(model, block, rows(block).hidden), gate!)).toBeCloseTo(0.4, 2)
    }
  }))

test("threshold weighs gates with the norms of up and down with wina", () =>
  trained({ method: "wina", sparsity: 0.4 }, silu, ({ model, of, rows }) => {
    const gate = of(1).gate!
    expect(shareBelow(gates(model, 1, rows(1).hidden), gate)).toBeCloseTo(0.4, 2)
    const importance = [0, 30, 74].map(
      (neuron) =>
        gate[neuron]! * Math.hypot(...column(model, "up", 1, neuron)) * Math.hypot(...column(model, "down", 1, neuron))
    )
    for (const one of importance) expect(one / importance[0]!).toBeCloseTo(1, 5)
  }))

for (const [method, openModel] of [
  ["teal", silu],
  ["teal", gelu],
  ["cats", gelu]
] as const) {
  test(`threshold drops a share of the activations with ${method} (${openModel === silu ? "gated" : "ungated"})`, () =>
    trained({ method, sparsity: 0.3 }, openModel, ({ of, rows }) => {
      const { gate, activation } = of(1)
      expect(gate).toBeUndefined()
      expect(new Set(activation).size).toBe(1)
      expect(shareBelow(rows(1).activations.map(Math.abs), activation!)).toBeCloseTo(0.3, 2)
    }))
}
