// Goal: nearest_signs keeps the contract of predictors, and its kernel names the neurons that a slow and obvious count names.
// Method: seeded hidden vectors on tiny models whose widths are no multiples of 32. Needs the kernel: `bun run build`.
import { expect, test } from "bun:test"
import { NeuronSet, readTensor } from "@powerinfer/core"
import { openTinyModel, predictorContext, predictorContract, selectStrangers } from "@powerinfer/core/testing"
import { Effect } from "effect"
import plugin from "./mod.ts"

for (const options of [{}, { share: 0.01 }, { share: 1 }]) {
  predictorContract({ test, plugin, options })
}

const rowCount = 3

for (const [hiddenWidth, ffnWidth, share] of [
  [72, 75, 0.3],
  [64, 96, 0.1],
  [8, 33, 0.5],
  [72, 31, 1]
] as const) {
  test(`the kernel names the nearest ${share} of ${ffnWidth} neurons at a hidden width of ${hiddenWidth}`, () =>
    Effect.gen(function* () {
      const model = yield* openTinyModel({
        family: "llama",
        seed: 3,
        activation: "relu",
        shape: { hiddenWidth, ffnWidth }
      })
      const selector = yield* plugin.open({ share }, predictorContext(model))
      const values = Float32Array.from({ length: rowCount * hiddenWidth }, (_, i) => Math.sin(i * i))
      const active = new NeuronSet(ffnWidth, rowCount)
      for (const [block, { gate }] of model.blocks.entries()) {
        selectStrangers(selector, block, { rowCount, width: hiddenWidth, values }, active)
        const weights = readTensor(model.gguf, gate!.weight)
        for (let row = 0; row < rowCount; row++) {
          const differing = (neuron: number) =>
            weights
              .subarray(neuron * hiddenWidth, (neuron + 1) * hiddenWidth)
              .reduce((sum, weight, i) => sum + Number(weight > 0 !== values[row * hiddenWidth + i]! > 0), 0)
          const neurons = Array.from({ length: ffnWidth }, (_, neuron) => neuron)
          const nearest = neurons
            .sort((a, b) => differing(a) - differing(b) || a - b)
            .slice(0, Math.ceil(share * ffnWidth))
          expect(neurons.filter((neuron) => active.has(row, neuron)).sort()).toEqual(nearest.sort())
        }
      }
    }).pipe(Effect.scoped, Effect.runPromise))
}

test("the kernel checks what it is given: a share that TypeScript would have refused", () =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 3 })
    const error = yield* Effect.flip(plugin.open({ share: 2 }, predictorContext(model)))
    expect(error._tag).toBe("PredictorFailure")
    expect(error.message).toContain("share is not above 0 and at most 1")
  }).pipe(Effect.scoped, Effect.runPromise))
