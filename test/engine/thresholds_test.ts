// Goal: what a predictor calls small is dropped before its rows are read, on every backend alike, and a device that cannot do so is refused.
// Method: models whose activation makes no zeros, on the cpu against the reference backend, whose FFN is a loop over neurons.
import { describe, expect, test } from "bun:test"
import { evaluateTokens, openModel, openPlan, type OpenPlan, usePlugin } from "@powerinfer/core"
import { Effect } from "effect"
import { planCounters } from "../../core/engine/plan_counters.ts"
import { cpu, everyNeuron, planOptions, reference, withPlan } from "../support/plans.ts"
import smallIsZero from "../support/plugins/small_is_zero.ts"

const tokens = [1, 3258, 1922, 706, 583, 160, 1638, 2493, 301, 3465]

const run = async (plan: OpenPlan) => {
  const { vocabularySize } = plan.model.shape
  const logits = new Float32Array(tokens.length * vocabularySize)
  const keep = (position: number, row: Float32Array) => logits.set(row, position * vocabularySize)
  await Effect.runPromise(evaluateTokens(plan, tokens, { cacheType: "f32", rowCount: 4 }, keep))
  return { logits, counters: planCounters(plan) }
}

const largestError = (a: Float32Array, b: Float32Array): number =>
  a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0)

for (const [family, options] of [
  ["llama-gqa-silu", { gate: 0.1 }],
  ["llama-gqa-silu", { activation: 0.02 }],
  ["llama-gqa-silu", { gate: 0.1, activation: 0.02 }],
  ["llama-gqa-relu", { gate: 0.3 }],
  ["falcon7-gelu", { activation: 0.1 }]
] as const) {
  describe(`forward() on ${family} with thresholds ${JSON.stringify(options)}`, () => {
    const path = `test/golden/families/${family}.gguf`
    const predictor = usePlugin(smallIsZero, options)

    test("computes the same on the cpu and the reference backend, and less than the dense run", async () => {
      const slow = await withPlan(path, { backends: [reference], predictor }, run)
      const fast = await withPlan(path, { backends: [cpu()], predictor }, run)
      const dense = await withPlan(path, { backends: [reference], predictor: everyNeuron }, run)
      expect(largestError(slow.logits, fast.logits)).toBeLessThan(1e-4)
      expect(largestError(slow.logits, dense.logits)).toBeGreaterThan(1e-4)
      // An activation on the very threshold may fall on either side of it.
      const share = fast.counters.neuronComputedCount / slow.counters.neuronComputedCount
      expect(share).toBeCloseTo(1, 2)
      expect(slow.counters.neuronComputedCount).toBeLessThan(0.95 * dense.counters.neuronComputedCount)
      expect(slow.counters.neuronComputedCount).toBeGreaterThan(0.05 * dense.counters.neuronComputedCount)
    })
  })
}

test("openPlan() refuses thresholds on a device that drops zeros only", () =>
  Effect.gen(function* () {
    const model = yield* openModel("test/golden/families/llama-gqa-silu.gguf")
    const backends = [{ ...reference, module: new URL("../support/plugins/zeros_only.ts", import.meta.url).href }]
    const error = yield* Effect.flip(
      openPlan(model, planOptions({ backends, predictor: usePlugin(smallIsZero, { gate: 0.1 }) }), () => {})
    )
    expect(error.message).toContain("it drops neurons whose activation is zero, not small ones")
  }).pipe(Effect.scoped, Effect.runPromise))
