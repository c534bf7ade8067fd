// Goal: measured speeds are of the right work, and the floor is counted from the right bytes.
// Method: the reference backend on a tiny model, whose counters say what was run; a made-up bandwidth, so that the floor is known.
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { measureSpeed, runSpeedPass, sparsityFacts, spreadOf } from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { everyNeuron, exactGate, reference, withPlan } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-speed-"))
const model = join(folder, "tiny.gguf")
const backends = [reference]
const options = { promptTokens: 10, decodeTokens: 6, repetitions: 3, cacheType: "f32", seed: 1 } as const

beforeAll(() => Effect.runPromise(writeTinyModel(model, { family: "llama", seed: 1, activation: "relu" })))
afterAll(() => rmSync(folder, { recursive: true }))

describe("measureSpeed()", () => {
  test("counts the floor from dense weights, the KV cache and the median of the bandwidths around the repetitions", () =>
    withPlan(model, { backends, predictor: everyNeuron, rowCountMax: 4 }, async (plan) => {
      let calls = 0
      const measureBandwidth = Effect.sync(() => [1e9, 2e9, 9e9, 3e9][calls++]!)
      const subject = { name: "dense", plan, measureBandwidth }
      const [figures, twin] = await Effect.runPromise(measureSpeed([subject, { ...subject, name: "twin" }], options))

      expect(calls).toBe(options.repetitions + 1)
      expect(figures!.bandwidthBytesPerSecond).toEqual({ median: 2.5e9, min: 1e9, max: 9e9 })
      expect(figures!.weightBytesPerToken).toBe(sparsityFacts(plan.model).tokenBytes)
      const { blockCount, kvHeadCount, headWidth } = plan.model.shape
      // Keys and values of all positions up to the token's own: 11 … 16 of them, 13.5 on average.
      expect(figures!.cacheBytesPerToken).toBe(13.5 * 2 * blockCount * kvHeadCount * headWidth * 4)
      expect(figures!.floorBytesPerToken).toBe(figures!.weightBytesPerToken + figures!.cacheBytesPerToken)
      expect(figures!.floorTokensPerSecond).toBeCloseTo(2.5e9 / figures!.floorBytesPerToken, 6)
      expect(figures!.floorRatio).toBeCloseTo(figures!.bandwidthShare, 9)
      expect(figures!.activeShare).toBe(1)
      expect(twin!.name).toBe("twin")
    }))

  test("runs every subject as often as asked, and once to warm up", () =>
    withPlan(model, { backends, predictor: exactGate, rowCountMax: 4 }, async (plan) => {
      const subject = { name: "sparse", plan, measureBandwidth: Effect.succeed(1e9) }
      const before = plan.home.counters().rowCount
      const [figures] = await Effect.runPromise(measureSpeed([subject], options))
      const written = options.promptTokens + options.decodeTokens - 1
      const perPass = options.promptTokens + options.decodeTokens
      expect(plan.home.counters().rowCount - before).toBe(written + (options.repetitions + 1) * perPass)
      expect(figures!.activeShare).toBeGreaterThan(0)
      expect(figures!.activeShare).toBeLessThan(0.9)
      expect(figures!.weightBytesPerToken).toBeLessThan(sparsityFacts(plan.model).tokenBytes)
      expect(figures!.decodeTokensPerSecond.median).toBeGreaterThan(0)
    }))

  test("refuses a text that the model's context cannot hold", () =>
    withPlan(model, { backends }, async (plan) => {
      const subject = { name: "long", plan, measureBandwidth: Effect.succeed(1e9) }
      const error = await Effect.runPromise(Effect.flip(measureSpeed([subject], { ...options, promptTokens: 125 })))
      expect(error).toMatchObject({ _tag: "PromptTooLong", promptTokens: 131, contextLength: 128 })
    }))
})

test("runSpeedPass() asks for logits once a prompt and once a decoded token, as a generation does", () =>
  withPlan(model, { backends, predictor: everyNeuron, rowCountMax: 4 }, async (plan) => {
    const wanted: Array<number> = []
    const logits = plan.home.logits.bind(plan.home)
    spyOn(plan.home, "logits").mockImplementation((batch) => {
      wanted.push(batch.logitCount)
      return logits(batch)
    })
    const text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    await Effect.runPromise(runSpeedPass(plan, text, { promptTokens: 10, cacheType: "f32" }))
    // Batches of 4, 4 and 2 rows, then two tokens.
    expect(wanted).toEqual([0, 0, 1, 1, 1])
  }))

test("spreadOf() takes the middle of an odd number of values and the mean of the two middle ones of an even number", () => {
  expect(spreadOf([5])).toEqual({ median: 5, min: 5, max: 5 })
  expect(spreadOf([9, 1, 4])).toEqual({ median: 4, min: 1, max: 9 })
  expect(spreadOf([9, 1, 4, 5])).toEqual({ median: 4.5, min: 1, max: 9 })
})
