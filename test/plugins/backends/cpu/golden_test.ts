// Goal: the CPU backend computes what an independent implementation computed, on every instruction set, and leaving out idle neurons changes nothing.
// Method: logits of Hugging Face transformers for a tiny model a family; the trained model's own dense run for its sparse one.
import { describe, expect, test } from "bun:test"
import { openModel } from "@powerinfer/core"
import { largestError, openHome, runTokens } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { checkFamily, goldenFamilies } from "../../../support/golden_families.ts"
import { backendOn, onEachIsa } from "./each_isa.ts"
import reference from "../../../../models/relu-llama-7m/reference.json" with { type: "json" }

onEachIsa((_, backend) => {
  for (const family of goldenFamilies) {
    test(`gives the logits of ${family}, dense and confirming, at batch sizes 1, 7 and 64`, async () => {
      for (const rowCount of [1, 7, 64]) {
        await checkFamily(backend, family, { rowCount })
        await checkFamily(backend, family, { rowCount, confirms: true })
      }
    })
  }
})

describe("the trained ReLU model on the CPU backend", async () => {
  const backend = await backendOn("auto")
  const tokens = reference.valid_windows[0]!.ids.slice(0, 96)

  // Float types add the same products in another order. Of a quantized type the dense run rounds what `down` multiplies to 8 bits, which the
  // sparse one, neuron by neuron, need not do: the difference is that rounding (0.06 for Q4_0).
  test.each([
    { type: "f16", tolerance: 1e-4 },
    { type: "q8_0", tolerance: 0.15 },
    { type: "q4_0", tolerance: 0.15 }
  ])("gives the same logits with confirmation as dense, for fewer bytes ($type)", async ({ type, tolerance }) => {
    const compared = Effect.gen(function* () {
      const model = yield* openModel(`models/relu-llama-7m/relu-llama-7m-${type}.gguf`)
      const run = (confirms: boolean) =>
        Effect.scoped(
          Effect.gen(function* () {
            const home = yield* openHome(backend, model, { rowCountMax: 1, sparse: confirms })
            return { logits: yield* runTokens(home, model, tokens, { rowCount: 1, confirms }), ...home.counters() }
          })
        )
      const [dense, sparse] = [yield* run(false), yield* run(true)]
      expect(largestError(sparse.logits, dense.logits)).toBeLessThan(tolerance)
      expect(sparse.ffnBytes).toBeLessThan(0.8 * dense.ffnBytes)
      expect(sparse.neuronComputedCount).toBeLessThan(0.5 * dense.neuronComputedCount)
    })
    await Effect.runPromise(compared)
  })
})
