// Goal: instruction sets differ in speed only.
// Method: the scalar kernels as the oracle of all others, for every weight type, dense and by neuron, at batch sizes with and without a tail.
// All round activations to 8-bit codes for quantized types. Where the last bit of a float32 sum tips a code over, a logit moves by up to 0.05
// standard deviations (seen for Q4_K): hence 0.1. A wrong kernel shows as 1 to 7.
import { test } from "bun:test"
import { openModel } from "@powerinfer/core"
import { checkClose, openHome, runTokens, writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { join } from "node:path"
import { scratch } from "../../../native/tiny_library.ts"
import { backendOn, onEachIsa } from "./each_isa.ts"

const directory = scratch("isa")

const scalar = await backendOn("scalar")
const types = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"] as const
const floatTypes = new Set(["F32", "F16", "BF16"])

onEachIsa((isa, backend) => {
  if (isa === "scalar") return
  for (const type of types) {
    for (const confirms of [false, true]) {
      const way = confirms ? "by neuron" : "dense"
      test(`computes ${type} weights ${way} as the scalar kernels do (seed 3)`, async () => {
        const path = join(directory, `${type}.gguf`)
        const compared = Effect.gen(function* () {
          yield* writeTinyModel(path, { family: "llama", seed: 3, activation: "relu", type })
          const model = yield* openModel(path)
          const [device, oracle] = yield* Effect.forEach([backend, scalar], (one) =>
            openHome(one, model, { rowCountMax: 9, sparse: confirms })
          )
          const tokens = Array.from({ length: 19 }, (_, position) => (37 * position + 5) % model.shape.vocabularySize)
          for (const rowCount of [1, 9]) {
            const actual = yield* runTokens(device!, model, tokens, { rowCount, confirms })
            const expected = yield* runTokens(oracle!, model, tokens, { rowCount, confirms })
            checkClose(actual, expected, floatTypes.has(type) ? 1e-5 : 0.1, `logits of batches of ${rowCount}`)
          }
        })
        await Effect.runPromise(Effect.scoped(compared))
      })
    }
  }
})
