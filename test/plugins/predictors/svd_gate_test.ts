// Goal: svd_gate keeps the contract of predictors, finds the nearest matrix of its rank on the inputs it gets, and knows how much that errs.
// Method: matrices whose rank and whose leading directions are known; at full rank the guess is the gate itself, so it must name what fires and nothing else.
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import {
  leadingLeftVectors,
  loadPlugin,
  type Matrix,
  NeuronSet,
  openMatrixProduct,
  randomFromSeed,
  usePlugin
} from "@powerinfer/core"
import {
  openFfnTruth,
  openTinyModel,
  predictorContext,
  predictorContract,
  selectStrangers
} from "@powerinfer/core/testing"
import plugin, { svdGate } from "@powerinfer/predictor-svd-gate"
import { Effect } from "effect"
import { temporaryFolder, trainingContext } from "../../../core/testing/predictor_bench.ts"
import { type Multiply, SecondMoments, times, timesTransposed } from "../../../plugins/predictors/svd_gate/factor.ts"

predictorContract({ test, plugin })
describe("Q4_0", () => predictorContract({ test, plugin, options: { type: "Q4_0", rank: 20, margin: 0.5 } }))

const uniform = (seed: number): (() => number) => {
  const random = randomFromSeed(seed)
  return () => random.nextUniform()
}
const randomMatrix = (rows: number, width: number, seed: number): Matrix => {
  const next = uniform(seed)
  return { rows, width, values: Float32Array.from({ length: rows * width }, () => next() - 0.5) }
}
const transpose = ({ rows, width, values }: Matrix): Matrix => ({
  rows: width,
  width: rows,
  values: Float32Array.from({ length: values.length }, (_, i) => values[(i % rows) * width + Math.floor(i / rows)]!)
})
const withProduct = (use: (multiply: Multiply) => void) => () =>
  Effect.runPromise(Effect.scoped(Effect.map(openMatrixProduct(1), use)))
const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)

test(
  "SecondMoments.root() times itself is the mean of x xᵀ (seed 3)",
  withProduct((multiply) => {
    const x = randomMatrix(40, 12, 3)
    const moments = new SecondMoments(multiply, 12)
    moments.add(x.values.subarray(0, 25 * 12), 25)
    moments.add(x.values.subarray(25 * 12), 15)
    const root = moments.root()
    const product = timesTransposed(multiply, root, root)
    const columns = transpose(x)
    const expected = timesTransposed(multiply, columns, columns)
    expect(largest(product.values.map((value, i) => value - expected.values[i]! / 40))).toBeLessThan(1e-4)
  })
)

test(
  "SecondMoments.root() of inputs that keep to a plane has finite numbers only",
  withProduct((multiply) => {
    const moments = new SecondMoments(multiply, 3)
    moments.add(Float32Array.of(1, 0, 0, 0, 2, 0), 2)
    expect([...moments.root().values].every(Number.isFinite)).toBe(true)
    const silent = new SecondMoments(multiply, 2)
    silent.add(new Float32Array(2), 1)
    expect([...silent.root().values].every(Number.isFinite)).toBe(true)
  })
)

test(
  "leadingLeftVectors() spans a matrix of that rank, with orthonormal rows; beyond its rank rows are zero (seed 4)",
  withProduct((multiply) => {
    const matrix = timesTransposed(multiply, randomMatrix(30, 5, 4), randomMatrix(20, 5, 5))
    const left = leadingLeftVectors(multiply, matrix, 7, { uniform: uniform(6), iterationCount: 4 })
    const squares = timesTransposed(multiply, left, left)
    const sizes = Array.from({ length: 7 }, (_, i) => squares.values[i * 7 + i]!)
    expect(sizes.filter((size) => Math.abs(size - 1) < 1e-5).length).toBe(5)
    expect(sizes.filter((size) => size === 0).length).toBe(2)
    const projected = times(multiply, transpose(left), times(multiply, left, matrix))
    expect(largest(projected.values.map((value, i) => value - matrix.values[i]!))).toBeLessThan(1e-5)
  })
)

test(
  "leadingLeftVectors() finds the directions that are largest (seed 7)",
  withProduct((multiply) => {
    const values = new Float32Array(10 * 10)
    for (let i = 0; i < 10; i++) values[i * 10 + i] = 2 ** -i
    const left = leadingLeftVectors(multiply, { rows: 10, width: 10, values }, 3, {
      uniform: uniform(7),
      iterationCount: 4
    })
    for (let i = 0; i < 3; i++)
      for (let k = 3; k < 10; k++) expect(Math.abs(left.values[i * 10 + k]!)).toBeLessThan(0.02)
  })
)

for (const family of ["llama", "opt"] as const) {
  test(`svd_gate names what fires at full rank: ${family} (seed 8)`, () =>
    Effect.gen(function* () {
      const model = yield* openTinyModel({ family, seed: 8, activation: "relu", shape: { ffnWidth: 75 } })
      const { hiddenWidth, ffnWidth, blockCount } = model.shape
      const truth = openFfnTruth(model)
      const out = join(yield* temporaryFolder, "svd.gguf")
      const options = { rank: hiddenWidth, type: "F16" as const, margin: 0 }
      const learned = yield* plugin.train!(options, trainingContext(model, truth, 1, out))
      const selector = yield* plugin.open(learned, predictorContext(model))
      const active = new NeuronSet(ffnWidth, 5)
      const activations = new Float32Array(5 * ffnWidth)
      let firing = 0
      let wrong = 0
      for (let block = 0; block < blockCount; block++) {
        const rows = truth.hidden(block, 5, 8)
        selectStrangers(selector, block, rows, active)
        truth.activations(block, rows, activations)
        activations.forEach((value, i) => {
          firing += Number(value !== 0)
          wrong += Number(active.has(Math.floor(i / ffnWidth), i % ffnWidth) !== (value !== 0))
        })
      }
      expect(firing).toBeGreaterThan(100)
      // A gate within the rounding of halves of zero may fall either way.
      expect(wrong).toBeLessThan(0.01 * firing)
    }).pipe(Effect.scoped, Effect.runPromise))
}

test("svd_gate loads by the module it names, and says how its file is made", () =>
  Effect.gen(function* () {
    expect((yield* loadPlugin(svdGate())).plugin).toBe(plugin)
    expect(usePlugin(plugin, {})).toEqual(svdGate())
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu" })
    expect((yield* Effect.flip(plugin.open({}, predictorContext(model)))).message).toBe(
      "Cannot open the predictor svd_gate: it needs a file; make it with: powerinfer train svd_gate"
    )
  }).pipe(Effect.scoped, Effect.runPromise))
