// Goal: a model on a GPU, or divided between a GPU and the CPU, computes what one device computes (cuda-sim: its kernels on the simulator).
// Method: families against the reference backend; the default model's greedy tokens against the CPU's, its hottest neurons on the device, for
// predictors that run there too.
import { beforeAll, describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { cuda } from "@powerinfer/backend-cuda"
import {
  type ActivationProfile,
  Batch,
  openForward,
  type OpenPlan,
  type PlanOptions,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import { Effect } from "effect"
import { cpu, everyNeuron, exactGate, models, reference, signBits, withPlan } from "../../../support/plans.ts"
import { hasSimulator } from "../../../support/simulator.ts"
import { largestError, logitsOf } from "../../../support/logits.ts"
import halves from "../../../support/plugins/halves.ts"
import largestShare from "../../../support/plugins/largest_share.ts"
import { hottestNeurons, profileOf } from "./hottest_neurons.ts"
import namedNeurons from "./named_neurons.ts"

const gpu = cuda({ simulated: true })
const inHalves = { placement: usePlugin(halves) }
/** Shared cores and a simulator: seconds, but not always the same. */
const timeoutMs = 120_000

describe.skipIf(!hasSimulator)("forward() with a CUDA device", () => {
  const plans = [
    ["alone", { backends: [gpu] }],
    ["as the home beside the CPU", { backends: [gpu, cpu()], ...inHalves }],
    ["beside a CPU that is the home", { backends: [cpu(), gpu], ...inHalves }],
    ["beside another one", { backends: [gpu, gpu], ...inHalves }]
  ] as const
  for (const family of ["llama-gqa-relu", "falcon40-relu", "opt", "qwen2"]) {
    for (const predictor of [everyNeuron, exactGate, usePlugin(largestShare, { share: 0.2 })]) {
      for (const [names, plan] of plans) {
        // A device that holds a part of the neurons cannot say what all of them are.
        if (predictor.name === "largest_share" && names !== "alone") continue
        test(
          `${names} equals the reference on ${family} with ${predictor.name}`,
          async () => {
            const path = `test/golden/families/${family}.gguf`
            const expected = await withPlan(path, { backends: [reference], predictor }, logitsOf)
            const actual = await withPlan(path, { ...plan, predictor }, logitsOf)
            // As between any two devices: logits have a standard deviation of about 1.
            expect(largestError(expected, actual)).toBeLessThan(1e-4)
          },
          timeoutMs
        )
      }
    }
  }
})

const prompt = [1, 450, 1749, 1497, 304, 963]
const tokenCount = 8

const greedyTokens = (plan: OpenPlan): Promise<ReadonlyArray<number>> =>
  Effect.gen(function* () {
    const cache = yield* plan.home.openCache(prompt.length + tokenCount, "f16")
    const forward = openForward(plan)
    const batch = new Batch(plan.rowCountMax)
    const next = (given: ReadonlyArray<number>, start: number): number => {
      batch.clear()
      for (const [row, token] of given.entries()) batch.add(token, start + row, cache, row === given.length - 1)
      const logits = forward(batch)!
      return logits.indexOf(logits.reduce((best, logit) => Math.max(best, logit), -Infinity))
    }
    const written = [next(prompt, 0)]
    while (written.length < tokenCount) written.push(next(written.slice(-1), prompt.length + written.length - 1))
    return written
  }).pipe(Effect.scoped, Effect.runPromise)

describe.skipIf(!hasSimulator)("the default model's greedy tokens with a CUDA device", () => {
  let profile: ActivationProfile
  beforeAll(async () => {
    profile = await profileOf(models.f16, readFileSync("models/text/valid.txt").subarray(0, 8192))
  }, timeoutMs)

  /** The hottest of every block's neurons on the device, as many as this share; 1: the CPU has no part in it. */
  const withHot = (share: number): Partial<PlanOptions> =>
    share === 1
      ? { backends: [gpu] }
      : {
          backends: [gpu, cpu()],
          placement: usePlugin(namedNeurons, { neurons: hottestNeurons(profile, share) })
        }

  const signs = signBits && { ...signBits, options: { margin: 1 } }
  const cases: ReadonlyArray<readonly [string, PluginUse<"predictor">, ReadonlyArray<number>]> = [
    [models.f16, exactGate, [0.1, 0.5, 0.9, 1]],
    [models.q8_0, exactGate, [0.5]],
    [models.q4_0, exactGate, [0.5]],
    ...(signs ? [[models.f16, signs, [0.5, 1]] as const] : [])
  ]
  for (const [path, predictor, shares] of cases) {
    const type = path.slice(path.lastIndexOf("-") + 1, path.lastIndexOf("."))
    for (const share of shares) {
      test(
        `are those of the CPU alone, with the hottest ${100 * share}% of the neurons on it, by ${predictor.name} (${type})`,
        async () => {
          const expected = await withPlan(path, { backends: [cpu()], predictor }, greedyTokens)
          expect(await withPlan(path, { ...withHot(share), predictor }, greedyTokens)).toEqual(expected)
        },
        timeoutMs
      )
    }
  }

  test.skipIf(signs === undefined)(
    "with sign_bits, the device selects for the CPU too",
    () =>
      withPlan(models.f16, { ...withHot(0.5), ...(signs && { predictor: signs }) }, (plan) => {
        expect(new Set(plan.selectedBy)).toEqual(new Set(["home"]))
      }),
    timeoutMs
  )
})
