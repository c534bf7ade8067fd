// Goal: the CUDA backend keeps to its budget, a plan made to fill it does so within 2%, and what does not fit is refused with nothing left behind.
// Method: tiny models on the simulator; what is allocated is what its devices say is no longer free.
import { afterEach, describe, expect, test } from "bun:test"
import {
  homeMemoryBytes,
  importPlugin,
  type Model,
  nativeDeviceFacts,
  neuronMemoryBytes,
  openPlan,
  type OpenPlan,
  type PlanOptions,
  type PluginUse,
  type QuantizableTypeName,
  shareMemoryBytes
} from "@powerinfer/core"
import { openTinyModel, type TinyModel } from "@powerinfer/core/testing"
import { Effect, Result } from "effect"
import { hasSimulator } from "../../../support/simulator.ts"
import { everyNeuron, named, planOptions, reference } from "../../../support/plans.ts"

const contextLength = 512
/** Few, so that buffers, which are planned for shares of whole blocks, take little beside weights: as of models that are not tiny. */
const rowCountMax = 2
const [blockCount, hiddenWidth, ffnWidth] = [2, 256, 1024]
const tiny = (type: QuantizableTypeName, more: Partial<TinyModel> = {}): TinyModel => ({
  family: "llama",
  seed: 21,
  activation: "relu",
  type,
  shape: { blockCount, hiddenWidth, ffnWidth, kvHeadCount: 4 },
  ...more
})

const freeBytes = async () => {
  const kernels = { candidates: [process.env["POWERINFER_CUDA_SIMULATED_LIBRARY"]!], build: "" }
  return (await Effect.runPromise(nativeDeviceFacts(kernels))).memoryAvailableBytes
}

const onDevice = (budgetBytes?: number): PluginUse<"backend"> => ({
  ...named("backend", "cuda")!,
  options: { simulated: true, ...(budgetBytes !== undefined && { vramBudget: String(budgetBytes) }) }
})

/** Opens a plan with one session, and says what that took; or how it was refused. */
const openWith = (description: TinyModel, options: Partial<PlanOptions>, caches = 1) =>
  Effect.gen(function* () {
    const model = yield* openTinyModel(description)
    const before = yield* Effect.promise(freeBytes)
    const opened: OpenPlan = yield* openPlan(
      model,
      planOptions({ rowCountMax, session: { contextLength }, ...options }),
      () => {}
    )
    for (let cache = 0; cache < caches; cache++) yield* opened.home.openCache(contextLength, "f16")
    return before - (yield* Effect.promise(freeBytes))
  }).pipe(Effect.scoped, Effect.result, Effect.runPromise)

const usedBy = async (...given: Parameters<typeof openWith>): Promise<number> =>
  Result.getOrThrow(await openWith(...given))

/** What the device says that it takes for this model. */
const planned = (description: TinyModel, selects = false) =>
  Effect.gen(function* () {
    const model: Model = yield* openTinyModel(description)
    const plugin = yield* importPlugin("backend", "cuda", onDevice().module)
    const facts = yield* plugin.facts({ device: 0, simulated: true }, { model, rowCountMax, contextLength, selects })
    const cacheBytes = 2 * blockCount * contextLength * hiddenWidth * 2
    const reserved = { cacheBytes, predictorBytes: 0, workspaceBytes: 0 }
    return {
      home: homeMemoryBytes(model, reserved, facts),
      share: shareMemoryBytes(reserved, facts),
      neurons: neuronMemoryBytes(model, facts)
    }
  }).pipe(Effect.scoped, Effect.runPromise)

const timeoutMs = 60_000

describe.skipIf(!hasSimulator)("the memory of the CUDA backend", () => {
  let free: number | undefined
  afterEach(async () => {
    free ??= await freeBytes()
    expect(await freeBytes()).toBe(free)
  })

  for (const [type, more] of [
    ["F32", {}],
    ["F16", { downByNeuron: true }],
    ["Q8_0", {}],
    ["Q4_0", {}],
    ["Q4_0", { downByNeuron: true }],
    ["Q4_K", {}],
    ["Q6_K", {}]
  ] as const) {
    const description = tiny(type, more)
    const what = `${type}${"downByNeuron" in more ? " with down by neuron" : ""}`
    test(
      `of a whole model in ${what} is what was planned, within 2%`,
      async () => {
        const { home, neurons } = await planned(description)
        const used = await usedBy(description, { backends: [onDevice()] })
        expect(used).toBeLessThanOrEqual(home + neurons)
        expect(used).toBeGreaterThan(0.98 * (home + neurons))
      },
      timeoutMs
    )
    test(
      `is filled within 2% and no further by a plan that divides ${what}`,
      async () => {
        const { home, neurons } = await planned(description)
        const budget = Math.round(home + 0.4 * neurons)
        const backends = [onDevice(budget), reference]
        const used = await usedBy(description, { backends, placement: named("placement", "uniform")! })
        expect(used).toBeLessThanOrEqual(budget)
        expect(used).toBeGreaterThan(0.98 * budget)
      },
      timeoutMs
    )
  }

  test(
    "of a device that is no home is filled within 2% and no further",
    async () => {
      const { share, neurons } = await planned(tiny("Q8_0"))
      const budget = Math.round(share + 0.7 * neurons)
      const placement = { ...named("placement", "uniform")!, options: { home: 1 } }
      const used = await usedBy(tiny("Q8_0"), { backends: [onDevice(budget), reference], placement })
      expect(used).toBeLessThanOrEqual(budget)
      expect(used).toBeGreaterThan(0.98 * budget)
    },
    timeoutMs
  )

  test(
    "counts a predictor's weights",
    async () => {
      const description = tiny("Q8_0")
      const { home, neurons } = await planned(description, true)
      const predictor = named("predictor", "sign_bits")!
      const budget = Math.round(home + 0.4 * neurons) + blockCount * ffnWidth * (hiddenWidth / 8 + 4)
      const backends = [onDevice(budget), reference]
      const used = await usedBy(description, { backends, predictor, placement: named("placement", "uniform")! })
      expect(used).toBeLessThanOrEqual(budget)
      expect(used).toBeGreaterThan(0.98 * budget)
    },
    timeoutMs
  )

  const description = tiny("Q8_0")
  const wordsOf = async (...given: Parameters<typeof openWith>) => {
    const opened = await openWith(...given)
    expect(Result.isFailure(opened) && opened.failure).toMatchObject({ _tag: "NotEnoughMemory" })
    return Result.isFailure(opened) ? opened.failure.message : ""
  }
  test(
    "refuses weights, workspace, a KV cache and a predictor that are a byte too large, and says what to lower",
    async () => {
      const sign = { predictor: named("predictor", "sign_bits")!, backends: [onDevice()] }
      const [opened, cached, selecting] = [
        await usedBy(description, { backends: [onDevice()], predictor: everyNeuron }, 0),
        await usedBy(description, { backends: [onDevice()], predictor: everyNeuron }),
        await usedBy(description, sign, 0)
      ]
      const within = (bytes: number) => ({ predictor: everyNeuron, backends: [onDevice(bytes)] })
      expect(await wordsOf(description, within(1000))).toMatch(
        /^Cannot allocate weights .*no room for the weights: .*--vram-budget/
      )
      expect(await wordsOf(description, within(opened - 1))).toMatch(/no room for .*--vram-budget, lower --ctx/)
      expect(await wordsOf(description, within(cached - 1))).toMatch(
        /^Cannot allocate a KV cache of 512 positions: .*lower --ctx/
      )
      const short = { ...sign, backends: [onDevice(selecting - 1)] }
      expect(await wordsOf(description, short, 0)).toMatch(
        /^Cannot allocate the predictor: .*no room for the predictor: /
      )
    },
    timeoutMs
  )
  test("refuses a budget beyond what is free", async () => {
    expect(await wordsOf(description, { backends: [onDevice(2 ** 40)] })).toContain("lower --vram-budget")
  })
})
