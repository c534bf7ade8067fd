// Goal: a profile accounts for all the work of the token loop, once, and changes nothing.
// Method: evaluations of known tokens on the trained model, against the device's counters; a predictor that proposes, so that select is seen.
import { describe, expect, test } from "bun:test"
import { evaluateTokens, measureSpeed, type OpenPlan, type Profile, usePlugin } from "@powerinfer/core"
import { Effect } from "effect"
import { planCounters } from "../../core/engine/plan_counters.ts"
import { exactGate, has, models, reference, withPlan } from "../support/plans.ts"
import largestShare from "../support/plugins/largest_share.ts"

const tokens = [1, 398, 339, 631, 284, 17]
const blockCount = 6

const evaluate = async (plan: OpenPlan, rowCount: number): Promise<ReadonlyArray<number>> => {
  const best: Array<number> = []
  const run = evaluateTokens(plan, tokens, { cacheType: "f16", rowCount }, (_, logits) =>
    best.push(Math.max(...logits))
  )
  await Effect.runPromise(run)
  return best
}

const callsOf = (phase: Profile["decode"]) =>
  Object.fromEntries(phase.stages.map(({ stage, callCount }) => [stage, callCount]))
const sumOf = (phase: Profile["decode"], key: "bytes" | "seconds") =>
  phase.stages.reduce((sum, stage) => sum + stage[key], 0)

describe("Profiler", () => {
  test.skipIf(!has("backend", "cpu"))(
    "puts batches of one row under decode and larger ones under prefill, every byte and second in one stage",
    () =>
      withPlan(models.q8_0, { profile: true, predictor: exactGate }, async (plan) => {
        for (const [phase, other, rowCount] of [
          ["decode", "prefill", 1],
          ["prefill", "decode", 3]
        ] as const) {
          plan.profiler!.start()
          const before = planCounters(plan)
          await evaluate(plan, rowCount)
          const after = planCounters(plan)
          const profile = plan.profiler!.read()
          const batchCount = tokens.length / rowCount

          expect(profile[phase]).toMatchObject({ batchCount, rowCount: tokens.length })
          expect(callsOf(profile[phase])).toMatchObject({
            embed: batchCount,
            "q, k, v": batchCount * blockCount,
            attention: batchCount * blockCount,
            down: batchCount * blockCount,
            divide: batchCount * blockCount,
            logits: batchCount
          })
          expect(sumOf(profile[phase], "bytes")).toBe(
            after.weightBytes - before.weightBytes + after.cacheBytes - before.cacheBytes
          )
          expect(profile[phase].seconds).toBeGreaterThan(0)
          expect(sumOf(profile[phase], "seconds")).toBeCloseTo(profile[phase].seconds, 9)
          expect(profile[other]).toMatchObject({ batchCount: 0, seconds: 0, rowCount: 0 })
        }
      })
  )

  test("changes no logits", async () => {
    const plain = await withPlan(models.q8_0, { predictor: exactGate }, (plan) => evaluate(plan, 2))
    const profiled = await withPlan(models.q8_0, { predictor: exactGate, profile: true }, (plan) => evaluate(plan, 2))
    expect(profiled).toEqual(plain)
  })

  test.skipIf(!has("backend", "reference"))(
    "times a predictor that selects; of a device without a profile the rest is all there is",
    () =>
      withPlan(
        models.f16,
        {
          profile: true,
          predictor: usePlugin(largestShare, { share: 0.1 }),
          backends: [reference]
        },
        async (plan) => {
          await evaluate(plan, 1)
          const { decode } = plan.profiler!.read()
          expect(callsOf(decode)).toEqual({
            select: tokens.length * blockCount,
            divide: tokens.length * blockCount,
            rest: tokens.length
          })
          expect(decode.stages[0]!.seconds).toBeGreaterThan(0)
        }
      )
  )

  test("a measurement of speed profiles its timed passes only", () =>
    withPlan(models.q8_0, { profile: true }, async (plan) => {
      const subject = { name: "dense", plan, measureBandwidth: Effect.succeed(1e9) }
      const options = { promptTokens: 8, decodeTokens: 4, repetitions: 2, cacheType: "f16", seed: 1 } as const
      const [figures] = await Effect.runPromise(measureSpeed([subject], options))
      expect(figures!.profile).toMatchObject({
        prefill: { batchCount: 2, rowCount: 16 },
        decode: { batchCount: 8, rowCount: 8 }
      })
    }))

  test("is not there unless asked for", () => withPlan(models.f16, {}, (plan) => expect(plan.profiler).toBeUndefined()))
})
