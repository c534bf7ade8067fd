// Goal: the predictor keeps the contract of every predictor, and its kernel names the neurons that the signs name.
import { expect, test } from "bun:test"
import { NeuronSet } from "@powerinfer/core"
import { openTinyModel, predictorContext, predictorContract, selectStrangers } from "@powerinfer/core/testing"
import { Effect } from "effect"
import plugin, { readSigns } from "./mod.ts"
import { differingBits, signBits } from "../predictor/signs.ts"

predictorContract({ test, plugin })
predictorContract({ test, plugin, options: { agreement: 0 } })

test("the kernel names what differingBits() says", () =>
  Effect.gen(function* () {
    // Widths that are no multiple of 32, so that last words are partly used.
    const model = yield* openTinyModel({ family: "llama", seed: 5, shape: { hiddenWidth: 72, ffnWidth: 75 } })
    const { hiddenWidth, ffnWidth, blockCount } = model.shape
    const selector = yield* plugin.open({ agreement: 0.5 }, predictorContext(model))
    const values = Float32Array.from({ length: 3 * hiddenWidth }, (_, i) => Math.sin(i * i))
    const [signs, rows] = [readSigns(model), signBits(values, hiddenWidth)]
    const wordCount = Math.ceil(hiddenWidth / 32)
    const active = new NeuronSet(ffnWidth, 3)
    for (let block = 0; block < blockCount; block++) {
      selectStrangers(selector, block, { rowCount: 3, width: hiddenWidth, values }, active)
      for (let row = 0; row < 3; row++) {
        for (let neuron = 0; neuron < ffnWidth; neuron++) {
          const at = (block * ffnWidth + neuron) * wordCount
          const hidden = rows.subarray(row * wordCount, (row + 1) * wordCount)
          const isNamed = differingBits(signs, at, hidden, wordCount) <= hiddenWidth / 2
          expect([block, row, neuron, active.has(row, neuron)]).toEqual([block, row, neuron, isNamed])
        }
      }
    }
  }).pipe(Effect.scoped, Effect.runPromise))
