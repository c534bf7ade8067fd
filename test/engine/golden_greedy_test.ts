// Goal: the tokens are the right ones, whatever the quantization, predictor or batch size.
// Method: greedy continuations made by Hugging Face transformers in float32 (models/*/reference.json), compared token for token up to the first
// step where the reference itself hardly prefers one token: a margin below 0.02 logits (F16) or 0.2 (Q8_0) decides nothing. Q4_0 moves logits by up
// to 3: with exactly decoded weights and float64 arithmetic it still overturns one step with a margin of 0.26, so 0.27 is its limit.
import { describe, expect, test } from "bun:test"
import { Batch, openForward, type OpenPlan } from "@powerinfer/core"
import { Effect } from "effect"
import reference from "../../models/relu-llama-7m/reference.json" with { type: "json" }
import optReference from "../../models/relu-opt-3m/reference.json" with { type: "json" }
import { everyNeuron, exactGate, has, models, withPlan } from "../support/plans.ts"

interface ReferencePrompt {
  readonly text: string
  readonly ids: ReadonlyArray<number>
  readonly greedy_ids: ReadonlyArray<number>
  readonly greedy_margin: ReadonlyArray<number>
}

const argmax = (logits: Float32Array): number =>
  logits.indexOf(logits.reduce((best, logit) => Math.max(best, logit), -Infinity))

/** Reads the prompt in batches of `rowCount`, then decodes `count` tokens one by one. */
const continueGreedily = (plan: OpenPlan, prompt: ReadonlyArray<number>, count: number, rowCount: number) =>
  Effect.gen(function* () {
    const cache = yield* plan.home.openCache(prompt.length + count, "f16")
    const forward = openForward(plan)
    const batch = new Batch(plan.rowCountMax)
    const run = (tokens: ReadonlyArray<number>, start: number) => {
      batch.clear()
      for (const [row, token] of tokens.entries()) batch.add(token, start + row, cache, row === tokens.length - 1)
      return forward(batch)!
    }
    let next = -1
    for (let start = 0; start < prompt.length; start += rowCount)
      next = argmax(run(prompt.slice(start, start + rowCount), start))
    const tokens = [next]
    while (tokens.length < count) tokens.push(argmax(run(tokens.slice(-1), prompt.length + tokens.length - 1)))
    return tokens
  }).pipe(Effect.scoped, Effect.runPromise)

const certainSteps = (prompt: ReferencePrompt, marginMin: number): number => {
  const uncertain = prompt.greedy_margin.findIndex((margin) => margin < marginMin)
  return uncertain < 0 ? prompt.greedy_ids.length : uncertain
}

const optModels = { f16: "models/relu-opt-3m/relu-opt-3m-f16.gguf", q8_0: "models/relu-opt-3m/relu-opt-3m-q8_0.gguf" }
const llama = { family: "relu-llama-7m", prompts: reference.prompts }
const opt = { family: "relu-opt-3m", prompts: optReference.prompts }
const cases = [
  { ...llama, type: "F16", path: models.f16, marginMin: 0.02 },
  { ...llama, type: "Q8_0", path: models.q8_0, marginMin: 0.2 },
  { ...llama, type: "Q4_0", path: models.q4_0, marginMin: 0.27 },
  { ...opt, type: "F16", path: optModels.f16, marginMin: 0.02 },
  { ...opt, type: "Q8_0", path: optModels.q8_0, marginMin: 0.2 }
]

describe.skipIf(!has("backend", "cpu"))("forward()", () => {
  for (const { family, type, path, prompts, marginMin } of cases) {
    for (const predictor of [everyNeuron, exactGate]) {
      for (const rowCount of [1, 7, 64]) {
        test(`continues ${family} ${type} as the reference does, with ${predictor.name} and the prompt in batches of ${rowCount}`, async () => {
          const compared = await withPlan(path, { predictor }, async (plan) => {
            let steps = 0
            for (const prompt of prompts) {
              const count = certainSteps(prompt, marginMin)
              if (count === 0) continue
              const tokens = await continueGreedily(plan, prompt.ids, count, rowCount)
              expect(tokens).toEqual(prompt.greedy_ids.slice(0, count))
              steps += count
            }
            return steps
          })
          expect(compared).toBeGreaterThan(0)
        })
      }
    }
  }
})
