// Goal: the replayed oracle names exactly the neurons that fire, and looks at them once for each input.
// Method: a probe that answers with given numbers and counts how often it is asked; then a planted model, whose tokens must be those of the dense run.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Batch, type Model, NeuronSet, openForward, type OpenPlan, sparsityFacts, usePlugin } from "@powerinfer/core"
import { predictorContext, selectStrangers } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { selectionBound } from "../../bench/bounds.ts"
import { writePlantedModel } from "../../bench/planted_model.ts"
import { plantedShapes } from "../../bench/planted_shapes.ts"
import plugin from "../../bench/replayed_oracle.ts"
import { exactGate, withPlan } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-oracle-"))
const planted = join(folder, "planted.gguf")
const weights = {
  shape: plantedShapes.tiny,
  type: "F16",
  activity: { activeShare: 0.1, hotNeurons: 0.2, hotShare: 0.8 },
  variation: { rank: 16, lowRankShare: 0.9 },
  seed: 5
} as const
beforeAll(() => Effect.runPromise(writePlantedModel(planted, "planted", weights)))
afterAll(() => rmSync(folder, { recursive: true }))

describe("replayed_oracle", () => {
  const ffnWidth = 35
  const width = 70
  /** Of an input that begins with `first`: the neurons that fire have its multiples. */
  const firesFor = (block: number, first: number, neuron: number) => neuron % (first + block + 2) === 0

  const open = async () => {
    let asked = 0
    const model = { shape: { ffnWidth, blockCount: 2 } } as Model
    const probe = {
      activations: (block: number, hidden: { rowCount: number; values: Float32Array }, into: Float32Array) => {
        asked++
        for (let row = 0; row < hidden.rowCount; row++) {
          for (let neuron = 0; neuron < ffnWidth; neuron++) {
            // A negative zero is none either.
            into[row * ffnWidth + neuron] = firesFor(block, hidden.values[row * width]!, neuron) ? -1 : -0
          }
        }
      }
    }
    const selector = await Effect.runPromise(
      Effect.scoped(plugin.open({}, predictorContext(model, { probe, rowCountMax: 4 })))
    )
    const active = new NeuronSet(ffnWidth, 4)
    /** The named neurons of each row, whose inputs begin with `firsts`. */
    const select = (block: number, firsts: ReadonlyArray<number>) => {
      const values = new Float32Array(firsts.length * width)
      for (const [row, first] of firsts.entries()) values.fill(first, row * width, (row + 1) * width)
      selectStrangers(selector, block, { rowCount: firsts.length, width, values }, active)
      return firsts.map((_, row) => Array.from({ length: ffnWidth }, (_, n) => n).filter((n) => active.has(row, n)))
    }
    return { selector, select, asked: () => asked }
  }
  const firing = (block: number, first: number) =>
    Array.from({ length: ffnWidth }, (_, n) => n).filter((n) => firesFor(block, first, n))

  test("proposes some neurons, is exact and does not confirm", async () => {
    expect((await open()).selector).toMatchObject({ proposes: "some", exact: true, confirms: false })
  })

  test("names what fires, and remembers it by block and input", async () => {
    const { select, asked } = await open()
    for (let repetition = 0; repetition < 3; repetition++) {
      expect(select(0, [1])).toEqual([firing(0, 1)])
      expect(select(0, [2])).toEqual([firing(0, 2)])
      expect(select(1, [1])).toEqual([firing(1, 1)])
    }
    expect(asked()).toBe(3)
  })

  test("remembers rows one by one, whatever batch they come in", async () => {
    const { select, asked } = await open()
    expect(select(0, [3, 1])).toEqual([firing(0, 3), firing(0, 1)])
    expect(select(0, [1, 3, 3])).toEqual([firing(0, 1), firing(0, 3), firing(0, 3)])
    expect(asked()).toBe(1)
    expect(select(0, [1, 4])).toEqual([firing(0, 1), firing(0, 4)])
    expect(asked()).toBe(2)
  })
})

const text = [1, 17, 300, 44, 5, 9, 81, 256, 33, 2, 77, 140]

/** Logits of the last token, decoded one by one; and what a token reads. */
const decode = (plan: OpenPlan) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const cache = yield* plan.home.openCache(text.length, "f32")
        const batch = new Batch(plan.rowCountMax)
        const forward = openForward(plan)
        const before = plan.home.counters()
        let logits = new Float32Array()
        for (const [position, token] of text.entries()) {
          batch.clear()
          batch.add(token, position, cache, true)
          logits = forward(batch)!.slice()
        }
        const after = plan.home.counters()
        const count = (key: keyof typeof after) => after[key] - before[key]
        return {
          logits,
          weightBytes: count("weightBytes") / text.length,
          activeShare: count("neuronComputedCount") / count("neuronCount")
        }
      })
    )
  )

test("replayed_oracle has the logits of exact_gate on a planted model, and both read as few bytes as their bounds say (seed 5)", async () => {
  const gate = await withPlan(planted, { predictor: exactGate }, async (plan) => {
    const { logits, weightBytes, activeShare } = await decode(plan)
    const facts = sparsityFacts(plan.model)
    expect(activeShare).toBeGreaterThan(0.05)
    expect(activeShare).toBeLessThan(0.2)
    expect(facts.tokenBytes / weightBytes).toBeCloseTo(selectionBound(facts, plan.selector, activeShare)!, 2)
    return logits
  })
  await withPlan(planted, { predictor: usePlugin(plugin) }, async (plan) => {
    await decode(plan)
    const { logits, weightBytes, activeShare } = await decode(plan)
    const facts = sparsityFacts(plan.model)
    expect(facts.tokenBytes / weightBytes).toBeCloseTo(selectionBound(facts, plan.selector, activeShare)!, 2)
    expect(logits).toEqual(gate)
  })
})
