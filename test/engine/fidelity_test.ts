// Goal: quantized models lose no more in our engine than quantization itself costs, and exact_gate loses nothing.
// Method: 512-token windows of validation text. Perplexity of F16 against the published one and the reference's own; KL divergence of Q8_0 and
// Q4_0 to our F16 run (3e-7 from float32), bounded by the figures of models/README.md plus 10%.
import { expect, test } from "bun:test"
import {
  type CacheType,
  evaluateTokens,
  openModel,
  type OpenPlan,
  openTokenizer,
  type PluginUse
} from "@powerinfer/core"
import { Effect } from "effect"
import reference from "../../models/relu-llama-7m/reference.json" with { type: "json" }
import { everyNeuron, exactGate, has, models, withPlan } from "../support/plans.ts"

/** Thousands of tokens: only a fast device gets through them. */
const onCpu = test.skipIf(!has("backend", "cpu"))

/** 512-token windows with the token after them. */
const readFirstWindows = async (count: number): Promise<Array<ReadonlyArray<number>>> => {
  const { gguf } = await Effect.runPromise(openModel(models.f16))
  const tokenizer = await Effect.runPromise(openTokenizer(gguf.metadata))
  const documents = (await Bun.file("test/golden/text/valid_head.txt").text()).split(/<\|doc\|>\n?/).filter(Boolean)
  const tokens = documents.flatMap((text) => [...tokenizer.encode(`${text.trimEnd()}\n`), tokenizer.eos!])
  return Array.from({ length: count }, (_, window) => tokens.slice(window * 512, window * 512 + 513))
}
const firstWindows = await readFirstWindows(8)

const windowLogits = (
  plan: OpenPlan,
  ids: ReadonlyArray<number>,
  given: { readonly rowCount?: number; readonly cacheType?: CacheType } = {}
): Promise<Array<Float32Array>> => {
  const logits: Array<Float32Array> = []
  const options = { cacheType: "f16" as const, ...given }
  return Effect.runPromise(evaluateTokens(plan, ids.slice(0, 512), options, (_, row) => logits.push(row.slice()))).then(
    () => logits
  )
}

const logSumExp = (logits: Float32Array): number => {
  const max = logits.reduce((best, logit) => Math.max(best, logit), -Infinity)
  return max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0))
}

const meanNll = (logits: ReadonlyArray<Float32Array>, ids: ReadonlyArray<number>): number =>
  logits.reduce((sum, row, position) => sum + logSumExp(row) - row[ids[position + 1]!]!, 0) / logits.length

/** KL(p ‖ q) in nats, mean over positions. */
const meanKl = (p: ReadonlyArray<Float32Array>, q: ReadonlyArray<Float32Array>): number => {
  let sum = 0
  for (const [position, row] of p.entries()) {
    const other = q[position]!
    const difference = logSumExp(other) - logSumExp(row)
    const norm = logSumExp(row)
    for (let token = 0; token < row.length; token++) {
      sum += Math.exp(row[token]! - norm) * (row[token]! - other[token]! + difference)
    }
  }
  return sum / p.length
}

const logitsOf = (path: string, windows: ReadonlyArray<ReadonlyArray<number>>, cacheType: CacheType = "f16") =>
  withPlan(path, { predictor: everyNeuron }, async (plan) => {
    const logits: Array<Array<Float32Array>> = []
    for (const ids of windows) logits.push(await windowLogits(plan, ids, { cacheType }))
    return logits
  })

const perplexity = (
  logits: ReadonlyArray<ReadonlyArray<Float32Array>>,
  windows: ReadonlyArray<ReadonlyArray<number>>
) => Math.exp(logits.reduce((sum, window, index) => sum + meanNll(window, windows[index]!), 0) / windows.length)

const f16 = logitsOf(models.f16, firstWindows)

test("openTokenizer() cuts the validation text into the reference's tokens", () => {
  expect(firstWindows[0]!).toEqual(reference.valid_windows[0]!.ids)
})

onCpu("evaluateTokens() reaches the published F16 perplexity of the first eight windows within 0.01%", async () => {
  expect(Math.abs(perplexity(await f16, firstWindows) / 20.9187 - 1)).toBeLessThan(1e-4)
})

onCpu("evaluateTokens() reaches the reference's likelihood of windows all over the text within 0.01%", async () => {
  const windows = reference.valid_windows.map(({ ids }) => ids)
  const theirs = reference.valid_windows.reduce((sum, { mean_nll }) => sum + mean_nll, 0) / windows.length
  expect(Math.abs(perplexity(await logitsOf(models.f16, windows), windows) / Math.exp(theirs) - 1)).toBeLessThan(1e-4)
})

for (const [type, path, klMax] of [
  ["Q8_0", models.q8_0, 1.8e-4 * 1.1],
  ["Q4_0", models.q4_0, 3.3e-2 * 1.1]
] as const) {
  onCpu(`evaluateTokens() on ${type} stays within a KL divergence of ${klMax.toExponential(2)} to F16`, async () => {
    const base = await f16
    const quantized = await logitsOf(path, firstWindows)
    const kl = base.reduce((sum, window, index) => sum + meanKl(window, quantized[index]!), 0) / base.length
    expect(kl).toBeLessThan(klMax)
    expect(kl).toBeGreaterThan(klMax / 10)
  })
}

onCpu("evaluateTokens() with a Q8_0 KV cache costs less than half of what Q8_0 weights cost", async () => {
  const base = (await f16).slice(0, 2)
  const rounded = await logitsOf(models.f16, firstWindows.slice(0, 2), "q8_0")
  const kl = base.reduce((sum, window, index) => sum + meanKl(window, rounded[index]!), 0) / base.length
  // 4.5e-5 when this was written: 8 bits a number as in Q8_0 weights, but of two of the seven matrices' products only.
  expect(kl).toBeLessThan(1.8e-4 / 2)
  expect(kl).toBeGreaterThan(1e-5)
})

onCpu("exact_gate gives the logits of every_neuron in single-row batches", async () => {
  const ids = firstWindows[0]!.slice(0, 40)
  const dense = await withPlan(models.f16, { predictor: everyNeuron }, (plan) =>
    windowLogits(plan, ids, { rowCount: 1 })
  )
  const sparse = await withPlan(models.f16, { predictor: exactGate }, (plan) =>
    windowLogits(plan, ids, { rowCount: 1 })
  )
  // Both are float32 with `down` summed in another order; the F16 cache turns that into a rounding now and then. The reference backend differs by 5e-9.
  expect(meanKl(dense, sparse)).toBeLessThan(1e-8)
})

onCpu("exact_gate reads fewer bytes than every_neuron for the same tokens", async () => {
  const bytes = async (predictor: PluginUse<"predictor">) =>
    withPlan(models.f16, { predictor }, async (plan) => {
      await windowLogits(plan, firstWindows[0]!.slice(0, 64), { rowCount: 1 })
      const { ffnBytes, neuronComputedCount, neuronCount } = plan.home.counters()
      return { ffnBytes, activeShare: neuronComputedCount / neuronCount }
    })
  const dense = await bytes(everyNeuron)
  const sparse = await bytes(exactGate)
  expect(dense.activeShare).toBe(1)
  // The reference measured a mean of 9.9% active; the gate must be read whole, up and down only where it fires.
  expect(sparse.activeShare).toBeGreaterThan(0.05)
  expect(sparse.activeShare).toBeLessThan(0.15)
  expect(sparse.ffnBytes / dense.ffnBytes).toBeCloseTo((1 + 2 * sparse.activeShare) / 3, 2)
})
