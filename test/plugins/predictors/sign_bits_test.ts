// Goal: sign_bits keeps the contract of predictors, and names where its formula says that enough signs agree.
// Method: the formula in plain TypeScript, whose sums are integers: exact.
import { describe, expect, test } from "bun:test"
import { loadPlugin, NeuronSet, readFiringRows } from "@powerinfer/core"
import {
  openFfnTruth,
  openTinyModel,
  predictorContext,
  predictorContract,
  selectStrangers
} from "@powerinfer/core/testing"
import plugin, { signBits } from "@powerinfer/predictor-sign-bits"
import { Effect } from "effect"
import { packSigns, signRowBytes } from "../../../plugins/predictors/sign_bits/signs.ts"

predictorContract({ test, plugin })
describe("one plane", () => predictorContract({ test, plugin, options: { planes: 1, margin: 0, confirm: false } }))

test("packSigns() sets a bit for every weight below zero, and none beyond a row", () => {
  const width = 70
  const weights = Float32Array.from({ length: 3 * width }, (_, i) => ((i * 7) % 5) - 2)
  const bytes = packSigns(weights, width)
  expect(bytes.length).toBe(3 * signRowBytes(width))
  for (let row = 0; row < 3; row++) {
    for (let i = 0; i < 256; i++) {
      const bit = (bytes[row * 32 + (i >> 3)]! >> (i & 7)) & 1
      expect(bit).toBe(i < width && weights[row * width + i]! < 0 ? 1 : 0)
    }
  }
})

/** Where the magnitude of each place of x lies, among the levels that planes can hold. */
const levelsOf = (x: Float32Array, planes: number): ReadonlyArray<number> => {
  if (planes === 1) return Array.from(x, () => 1)
  const mean = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length)
  const perLevel = (planes === 2 ? 1.25 : 3) / mean
  return Array.from(x, (value) => Math.floor(Math.min(Math.abs(value) * perLevel + 0.5, 2 ** planes - 1)))
}

for (const family of ["llama", "opt"] as const) {
  for (const planes of [1, 2, 3] as const) {
    test(`sign_bits names where weighed signs agree: ${family}, ${planes} planes (seed 9)`, () =>
      Effect.gen(function* () {
        const model = yield* openTinyModel({ family, seed: 9, activation: "relu", shape: { ffnWidth: 75 } })
        const { hiddenWidth, ffnWidth, blockCount } = model.shape
        const margin = 0.3
        const selector = yield* plugin.open({ planes, margin }, predictorContext(model))
        const truth = openFfnTruth(model)
        for (let block = 0; block < blockCount; block++) {
          const { weights, bias, inputLength } = yield* readFiringRows("sign_bits", model, block)
          const rows = truth.hidden(block, 3, 9)
          const active = new NeuronSet(ffnWidth, 3)
          selectStrangers(selector, block, rows, active)
          for (let row = 0; row < 3; row++) {
            const x = rows.values.subarray(row * hiddenWidth, (row + 1) * hiddenWidth)
            const levels = levelsOf(x, planes)
            const length = Math.sqrt(levels.reduce((sum, level) => sum + level * level, 0))
            for (let n = 0; n < ffnWidth; n++) {
              const gate = weights.subarray(n * hiddenWidth, (n + 1) * hiddenWidth)
              const agreement = levels.reduce((sum, level, i) => sum + (gate[i]! < 0 === x[i]! < 0 ? level : -level), 0)
              const gateLength = Math.sqrt(gate.reduce((sum, value) => sum + value * value, 0))
              const least = -margin - (bias ? (bias[n]! * Math.sqrt(hiddenWidth)) / (gateLength * inputLength) : 0)
              if (Math.abs(agreement / length - least) < 1e-5) continue
              expect(active.has(row, n)).toBe(agreement / length > least)
            }
          }
        }
      }).pipe(Effect.scoped, Effect.runPromise))
  }
}

test("sign_bits loads by the module it names, counts its bytes, and refuses a model that makes no zeros", () =>
  Effect.gen(function* () {
    expect((yield* loadPlugin(signBits())).plugin).toBe(plugin)
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu" })
    const { hiddenWidth, ffnWidth } = model.shape
    const selector = yield* plugin.open({}, predictorContext(model))
    const bytes = ffnWidth * (signRowBytes(hiddenWidth) + 4)
    expect(selector).toMatchObject({ proposes: "some", confirms: true, exact: false, selectionBytes: [bytes, bytes] })
    const silu = yield* openTinyModel({ family: "llama", seed: 1, activation: "silu" })
    expect((yield* Effect.flip(plugin.open({}, predictorContext(silu))))._tag).toBe("PredictorMismatch")
  }).pipe(Effect.scoped, Effect.runPromise))
