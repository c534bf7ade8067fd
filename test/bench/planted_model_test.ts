// Goal: a planted model runs, and as many of its neurons fire as were planted, the hot ones as much more often, from the first block to the last.
// Method: tiny shapes of every family through the cpu backend on some hundred different tokens; activations are counted neuron by neuron.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Batch, openModel, openTokenizer, type OpenPlan } from "@powerinfer/core"
import { Effect } from "effect"
import type { Activity } from "../../bench/planted_activity.ts"
import { impossibleModel, writePlantedModel } from "../../bench/planted_model.ts"
import { type PlantedShape, plantedShapes } from "../../bench/planted_shapes.ts"
import type { PlantedType } from "../../bench/planted_types.ts"
import type { PlantedModel } from "../../bench/planted_weights.ts"
import { withPlan } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-planted-"))
afterAll(() => rmSync(folder, { recursive: true }))

const powerLaw = (activeShare: number): Activity => ({ activeShare, hotNeurons: 0.2, hotShare: 0.8 })
const alike = (activeShare: number): Activity => ({ activeShare, hotNeurons: 0.2, hotShare: 0.2 })
const planted = (options: Partial<PlantedModel>): PlantedModel => ({
  shape: plantedShapes.tiny,
  type: "F16",
  activity: powerLaw(0.1),
  variation: { rank: 16, lowRankShare: 0.9 },
  seed: 1,
  ...options
})

let written = 0
const write = async (options: Partial<PlantedModel>): Promise<string> => {
  const path = join(folder, `${written++}.gguf`)
  await Effect.runPromise(writePlantedModel(path, "planted", planted(options)))
  return path
}

const batchCount = 8
const rowCount = 32

/** How often each neuron of each block is above zero, over different tokens at increasing positions. */
const firingsOf = (plan: OpenPlan): Promise<ReadonlyArray<Uint32Array>> => {
  const { blockCount, ffnWidth } = plan.model.shape
  const batch = new Batch(rowCount)
  const activations = new Float32Array(rowCount * ffnWidth)
  const firings = Array.from({ length: blockCount }, () => new Uint32Array(ffnWidth))
  return Effect.gen(function* () {
    const cache = yield* plan.home.openCache(batchCount * rowCount, "f32")
    for (let first = 0; first < batchCount * rowCount; first += rowCount) {
      batch.clear()
      for (let row = 0; row < rowCount; row++) batch.add(((first + row) * 97 + 11) % 512, first + row, cache, false)
      plan.home.embed(batch)
      for (let block = 0; block < blockCount; block++) {
        const hidden = plan.home.attend(batch, block)
        plan.home.activations(block, hidden, activations)
        for (let i = 0; i < activations.length; i++) if (activations[i] !== 0) firings[block]![i % ffnWidth]!++
        plan.home.mergeFfn(block, [plan.home.startFfn(block, hidden, undefined, false)])
      }
    }
    return firings
  }).pipe(Effect.scoped, Effect.runPromise)
}

const firings = async (options: Partial<PlantedModel>): Promise<ReadonlyArray<Uint32Array>> =>
  withPlan(await write(options), { rowCountMax: rowCount }, firingsOf)

const sum = (counts: Uint32Array): number => counts.reduce((total, count) => total + count, 0)
const activeShare = (counts: Uint32Array): number => sum(counts) / (counts.length * batchCount * rowCount)
/** Share of all firings that the hottest fifth of the neurons does. */
const hotShare = (counts: Uint32Array): number =>
  sum(counts.toSorted((a, b) => b - a).subarray(0, Math.round(counts.length / 5))) / sum(counts)

const smallthinker: PlantedShape = { ...plantedShapes.tiny, family: "smallthinker" }
const cases: ReadonlyArray<readonly [name: string, shape: PlantedShape, type: PlantedType, share: number]> = [
  ["llama", plantedShapes.tiny, "F16", 0.1],
  ["llama", plantedShapes.tiny, "Q4_0", 0.1],
  ["llama", plantedShapes.tiny, "Q4_K_M", 0.1],
  ["llama", plantedShapes.tiny, "Q8_0", 0.02],
  ["smallthinker", smallthinker, "Q8_0", 0.1],
  ["opt", plantedShapes["tiny-opt"], "F16", 0.05],
  ["falcon", plantedShapes["tiny-falcon"], "Q4_0", 0.1]
]

describe("writePlantedModel()", () => {
  for (const [name, shape, type, share] of cases) {
    test(`makes ${share} of the neurons of a ${type} ${name} fire, the hottest fifth 80% of that (seed 1)`, async () => {
      const blocks = await firings({ shape, type, activity: powerLaw(share) })
      expect(blocks).toHaveLength(shape.blockCount)
      for (const counts of blocks) {
        expect(activeShare(counts) / share).toBeGreaterThan(0.9)
        expect(activeShare(counts) / share).toBeLessThan(1.1)
        // Counting favours whoever fired by chance: the fewer firings a neuron has, the more the hottest seem to do.
        expect(hotShare(counts)).toBeGreaterThan(0.77)
        expect(hotShare(counts)).toBeLessThan(0.86)
      }
    })
  }

  test("makes all neurons fire alike when the hot ones do no more than their part (seed 1)", async () => {
    for (const counts of await firings({ type: "Q8_0", activity: alike(0.3) })) {
      expect(activeShare(counts) / 0.3).toBeGreaterThan(0.9)
      expect(activeShare(counts) / 0.3).toBeLessThan(1.1)
      expect(hotShare(counts)).toBeLessThan(0.3)
    }
  })

  test("scatters the hot neurons, differently in every block (seed 1)", async () => {
    const blocks = await firings({})
    const inFirstHalf = blocks.map((counts) => sum(counts.subarray(0, counts.length / 2)) / sum(counts))
    for (const share of inFirstHalf) expect(Math.abs(share - 0.5)).toBeLessThan(0.1)
    const hottest = blocks.map((counts) => counts.indexOf(Math.max(...counts)))
    expect(new Set(hottest).size).toBe(blocks.length)
  })

  test("writes the same bytes for the same seed and others for another (seeds 1, 2)", async () => {
    const first = readFileSync(await write({ type: "Q8_0" }))
    const again = readFileSync(await write({ type: "Q8_0" }))
    const other = readFileSync(await write({ type: "Q8_0", seed: 2 }))
    expect(again.equals(first)).toBeTrue()
    expect(other.equals(first)).toBeFalse()
  })

  test("writes a vocabulary that takes any text, and what was planted", async () => {
    const model = await Effect.runPromise(openModel(await write({ type: "Q4_K_M" })))
    const { metadata } = model.gguf
    const tokenizer = await Effect.runPromise(openTokenizer(metadata))
    expect(tokenizer.decode(tokenizer.encode("Grüße, 你好!"))).toBe("Grüße, 你好!")
    expect(model).toMatchObject({ sparse: true, shape: { family: "llama", gateActivation: "relu" } })
    expect(metadata.string("powerinfer.planted.type")).toBe("Q4_K_M")
    expect(metadata.f32("powerinfer.planted.hot_share")).toBeCloseTo(0.8)
    expect(metadata.u32("powerinfer.planted.rank")).toBe(16)
    expect(metadata.u32("powerinfer.planted.seed")).toBe(1)
  })
})

describe("impossibleModel()", () => {
  test("has no reason against a shape of every family", () => {
    for (const shape of Object.values(plantedShapes)) expect(impossibleModel(planted({ shape }))).toBeUndefined()
  })

  test("names what cannot be planted", () => {
    expect(impossibleModel(planted({ activity: powerLaw(0.3) }))).toContain("1.20 of all tokens")
    expect(impossibleModel(planted({ variation: { rank: 225, lowRankShare: 0.9 } }))).toContain("a rank of 225")
    const falcon = plantedShapes["falcon-7b"]
    expect(impossibleModel(planted({ shape: falcon, type: "Q4_K_M" }))).toContain("rows of 4544 weights")
  })
})
