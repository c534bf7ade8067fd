// Goal: quantized_gate keeps the contract of predictors, its proxy is the gate but for rounding, and it names what its formula names.
// Method: the proxy decoded in plain TypeScript from the bytes of powerinfer.h; scores within rounding of a threshold may fall either way.
import { describe, expect, test } from "bun:test"
import { f16ToF32, loadPlugin, NeuronSet, readFiringRows, randomFromSeed } from "@powerinfer/core"
import {
  openFfnTruth,
  openTinyModel,
  predictorContext,
  predictorContract,
  selectStrangers
} from "@powerinfer/core/testing"
import plugin, { quantizedGate } from "@powerinfer/predictor-quantized-gate"
import { Effect } from "effect"
import {
  groupBytes,
  type ProxyBits,
  proxyRowBytes,
  quantizeGate
} from "../../../plugins/predictors/quantized_gate/proxy.ts"

predictorContract({ test, plugin })
describe("two bits", () => predictorContract({ test, plugin, options: { bits: 2, confirm: false } }))

/** What powerinfer.h says of a group, one weight at a time. */
const decoded = (bytes: Uint8Array, row: number, width: number, bits: ProxyBits): Float32Array =>
  Float32Array.from({ length: width }, (_, i) => {
    const at = row * proxyRowBytes(bits, width) + Math.floor(i / 64) * groupBytes[bits]
    const w = i % 64
    const scale = f16ToF32(bytes[at]! | (bytes[at + 1]! << 8))
    const pair = (bytes[at + 2 + (w % 16)]! >> (2 * Math.floor(w / 16))) & 3
    const third = bits === 3 ? (bytes[at + 18 + (w % 8)]! >> Math.floor(w / 8)) & 1 : 0
    return scale * (2 * (pair + 4 * third) - (2 ** bits - 1))
  })

/** Sums of twelve uniform numbers: nearly normal. */
const normal = (seed: number, count: number): Float32Array => {
  const random = randomFromSeed(seed)
  return Float32Array.from({ length: count }, () => {
    let sum = -6
    for (let i = 0; i < 12; i++) sum += random.nextUniform()
    return sum
  })
}

for (const [bits, loss] of [
  [2, 0.36],
  [3, 0.22]
] as const) {
  for (const width of [32, 64, 100, 256]) {
    test(`quantizeGate() with ${bits} bits loses what a quantizer of normal weights must, and says how much: width ${width} (seed 5)`, () => {
      const weights = normal(5, 20 * width)
      const { bytes, errors } = quantizeGate(weights, width, bits)
      expect(bytes.length).toBe(20 * proxyRowBytes(bits, width))
      let lostSquares = 0
      for (let row = 0; row < 20; row++) {
        const gate = weights.subarray(row * width, (row + 1) * width)
        const proxy = decoded(bytes, row, width, bits)
        const squares = gate.reduce((sum, value, i) => sum + (value - proxy[i]!) ** 2, 0)
        expect(errors[row]!).toBeCloseTo(Math.sqrt(squares), 4)
        lostSquares += squares
      }
      expect(Math.sqrt(lostSquares / weights.reduce((sum, value) => sum + value * value, 0))).toBeLessThan(loss)
    })
  }
}

test("quantizeGate() makes zeros of zeros", () => {
  const { bytes, errors } = quantizeGate(new Float32Array(64), 64, 3)
  expect([...decoded(bytes, 0, 64, 3)].every((value) => value === 0)).toBe(true)
  expect(errors[0]).toBe(0)
})

for (const family of ["llama", "opt"] as const) {
  for (const bits of [2, 3] as const) {
    test(`quantized_gate names where the proxy is above the margin: ${family}, ${bits} bits (seed 6)`, () =>
      Effect.gen(function* () {
        const model = yield* openTinyModel({ family, seed: 6, activation: "relu", shape: { ffnWidth: 75 } })
        const { hiddenWidth, ffnWidth, blockCount } = model.shape
        const margin = 0.5
        const selector = yield* plugin.open({ bits, margin }, predictorContext(model))
        const truth = openFfnTruth(model)
        let sure = 0
        for (let block = 0; block < blockCount; block++) {
          const { weights, bias, inputLength } = yield* readFiringRows("quantized_gate", model, block)
          const { bytes, errors } = quantizeGate(weights, hiddenWidth, bits)
          const rows = truth.hidden(block, 3, 6)
          const active = new NeuronSet(ffnWidth, 3)
          selectStrangers(selector, block, rows, active)
          for (let row = 0; row < 3; row++) {
            const x = rows.values.subarray(row * hiddenWidth, (row + 1) * hiddenWidth)
            const length = Math.hypot(...x)
            for (let n = 0; n < ffnWidth; n++) {
              const proxy = decoded(bytes, n, hiddenWidth, bits)
              const score = proxy.reduce((sum, value, i) => sum + value * x[i]!, 0) / length
              const least = (-margin * errors[n]!) / Math.sqrt(hiddenWidth) - (bias?.[n] ?? 0) / inputLength
              const rounding =
                (0.5 / 127) * Math.max(...x.map(Math.abs)) * (proxy.reduce((s, v) => s + Math.abs(v), 0) / length)
              if (Math.abs(score - least) < rounding) continue
              sure++
              expect(active.has(row, n)).toBe(score > least)
            }
          }
        }
        expect(sure).toBeGreaterThan(0.8 * 3 * ffnWidth * blockCount)
      }).pipe(Effect.scoped, Effect.runPromise))
  }
}

test("quantized_gate loads by the module it names, counts its bytes, and refuses a model that makes no zeros", () =>
  Effect.gen(function* () {
    expect((yield* loadPlugin(quantizedGate())).plugin).toBe(plugin)
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu" })
    const { hiddenWidth, ffnWidth } = model.shape
    const selector = yield* plugin.open({}, predictorContext(model))
    const bytes = ffnWidth * (proxyRowBytes(3, hiddenWidth) + 4)
    expect(selector).toMatchObject({ proposes: "some", confirms: true, exact: false, selectionBytes: [bytes, bytes] })
    const silu = yield* openTinyModel({ family: "llama", seed: 1, activation: "silu" })
    const refused = yield* Effect.flip(plugin.open({}, predictorContext(silu)))
    expect(refused.message).toBe(
      "Cannot open the predictor quantized_gate: the model has the activation silu, it needs one that makes zeros (relu, relu_squared)"
    )
  }).pipe(Effect.scoped, Effect.runPromise))
