// Goal: a predictor that asks for the FFN input before its norm gets it, from every backend.
// Method: the model's own norm of it, computed here, is the FFN input, in families with both norms and with parallel blocks.
import { expect, test } from "bun:test"
import { evaluateTokens, type HiddenRows, type Model, type OpenPlan, readTensor } from "@powerinfer/core"
import { Effect } from "effect"
import { cpu, reference, withPlan } from "../support/plans.ts"

const tokens = [1, 3258, 1922, 706, 583]

/** The norm of `residual` as the block's FFN has it, f64 inside. */
const normOf = ({ blocks, gguf, shape }: Model, block: number, residual: Float32Array): Float32Array => {
  const { weight, bias } = blocks[block]!.ffnNorm
  const weights = readTensor(gguf, weight)
  const biases = bias && readTensor(gguf, bias)
  const { hiddenWidth, norm } = shape
  const out = new Float32Array(residual.length)
  for (let row = 0; row < residual.length; row += hiddenWidth) {
    const one = residual.subarray(row, row + hiddenWidth)
    const mean = norm.kind === "layer" ? one.reduce((sum, x) => sum + x, 0) / hiddenWidth : 0
    const variance = one.reduce((sum, x) => sum + (x - mean) ** 2, 0) / hiddenWidth
    const scale = 1 / Math.sqrt(variance + norm.epsilon)
    for (let i = 0; i < hiddenWidth; i++) out[row + i] = (one[i]! - mean) * scale * weights[i]! + (biases?.[i] ?? 0)
  }
  return out
}

/** Every block's FFN input as the home hands it out, of a plan whose loop is watched. */
const watch = async (plan: OpenPlan) => {
  const seen: Array<{ readonly block: number; readonly values: Float32Array; readonly residual: Float32Array }> = []
  const { home } = plan
  const attend = (...given: Parameters<typeof home.attend>): HiddenRows => {
    const hidden = home.attend(...given)
    seen.push({ block: given[1], values: hidden.values.slice(), residual: hidden.residual!.slice() })
    return hidden
  }
  const watched = { ...plan, home: { ...bound(home), attend } }
  await Effect.runPromise(evaluateTokens(watched, tokens, { cacheType: "f32", rowCount: 3 }, () => {}))
  return seen
}

/** A device's functions, whether they are its own or its class's. */
const bound = (device: OpenPlan["home"]): OpenPlan["home"] => ({
  name: device.name,
  openCache: device.openCache,
  embed: (batch) => device.embed(batch),
  attend: (batch, block) => device.attend(batch, block),
  activations: (block, hidden, into) => device.activations(block, hidden, into),
  startFfn: (block, hidden, active, confirms) => device.startFfn(block, hidden, active, confirms),
  mergeFfn: (block, partials) => device.mergeFfn(block, partials),
  logits: (batch) => device.logits(batch),
  counters: () => device.counters()
})

for (const family of ["llama-gqa-relu", "falcon40-relu", "opt"]) {
  for (const [name, backend] of [
    ["cpu", cpu()],
    ["reference", reference]
  ] as const) {
    test(`the residual of ${family} on the ${name} backend becomes the FFN input by its norm`, async () => {
      await withPlan(`test/golden/families/${family}.gguf`, { backends: [backend] }, async (plan) => {
        const seen = await watch(plan)
        expect(seen.length).toBe(2 * plan.model.shape.blockCount)
        for (const { block, values, residual } of seen) {
          const expected = normOf(plan.model, block, residual)
          const error = values.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0)
          expect(error).toBeLessThan(1e-5)
        }
      })
    })
  }
}
