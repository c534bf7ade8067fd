// Goal: an evaluation says what two runs really differ in.
// Method: tiny models and predictors whose recall is known; perplexity and divergence beside a second, plain computation from the logits of
// evaluateTokens(); the default model beside its published perplexity.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  cutWindows,
  evaluate,
  evaluateTokens,
  type EvaluationFigures,
  type EvaluationOptions,
  evaluation,
  type EvaluationWindow,
  fidelityClass,
  identityOf,
  openModel,
  openPlan,
  type OpenPlan,
  openTokenizer,
  type PluginUse,
  randomFromSeed,
  textTokens,
  usePlugin
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { everyNeuron, exactGate, has, models, planOptions, reference } from "../support/plans.ts"
import partOfFired from "../support/plugins/part_of_fired.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-evaluate-"))
const relu = join(folder, "relu.gguf")
const silu = join(folder, "silu.gguf")
beforeAll(async () => {
  await Effect.runPromise(writeTinyModel(relu, { family: "llama", seed: 1, activation: "relu" }))
  await Effect.runPromise(writeTinyModel(silu, { family: "llama", seed: 2, activation: "silu" }))
})
afterAll(() => rmSync(folder, { recursive: true }))

const random = randomFromSeed(5)
const text = Array.from({ length: 100 }, () => 3 + (random.nextU32() % 200))
const windowsOf = (windowLength: number) =>
  Effect.runPromise(cutWindows(text, { bos: 1, addsBos: true }, { protocol: "llama.cpp", windowLength }))

const onlyFidelity = { cacheType: "f32", seed: 1, promptCount: 0, decodeWindows: 0 } as const

/** Opens the model twice and evaluates; batches of 8 rows, in which an exact predictor is sparse up to 4. */
const evaluated = <A>(
  path: string,
  predictor: PluginUse<"predictor">,
  options: Partial<EvaluationOptions>,
  use: (figures: EvaluationFigures, dense: OpenPlan) => A | Promise<A>
): Promise<A> =>
  Effect.gen(function* () {
    const model = yield* openModel(path)
    const open = (asked: PluginUse<"predictor">) =>
      openPlan(
        model,
        planOptions({ backends: [reference], predictor: asked, rowCountMax: 8, sparseRowCountMax: 4 }),
        () => {}
      )
    const [dense, asked] = [yield* open(everyNeuron), yield* open(predictor)]
    const windows = options.windows ?? (yield* Effect.promise(() => windowsOf(20)))
    const figures = yield* evaluate(dense, asked, { ...onlyFidelity, ...options, windows })
    return yield* Effect.promise(async () => use(figures, dense))
  }).pipe(Effect.scoped, Effect.runPromise)

const one = { value: 1, low: 1, high: 1 }
const zero = { value: 0, low: 0, high: 0 }

describe("evaluate()", () => {
  test("finds every_neuron to be itself", () =>
    evaluated(relu, everyNeuron, { promptCount: 2, writtenTokens: 9, decodeWindows: 2 }, (figures) => {
      expect(figures.fidelity).toBe("exact")
      expect(figures.scoredTokens).toBe(5 * 9)
      expect(figures.divergence).toMatchObject({ mean: zero, median: 0, p99: 0, max: 0 })
      expect(figures.topAgreement).toEqual(one)
      expect(figures.perplexity.asked).toEqual(figures.perplexity.dense)
      expect(figures.selection!.recall).toEqual(one)
      expect(figures.selection!.proposedShare).toEqual(one)
      expect(figures.freeRunning).toEqual({ prompts: 2, tokens: 9, commonPrefix: 9, same64: 1, sameAll: 1 })
      const { dense, asked } = figures.decode!
      expect(asked.weightBytes).toBe(dense.weightBytes)
      expect(asked.activeShare).toBe(1)
    }))

  test("finds exact_gate to be exact, and to read less", () =>
    evaluated(relu, exactGate, { decodeWindows: 1, promptCount: 1, writtenTokens: 5 }, (figures) => {
      expect(figures.fidelity).toBe("exact")
      expect(figures.topAgreement).toEqual(one)
      expect(figures.selection).toMatchObject({ recall: one, magnitudeKept: one })
      expect(figures.selection!.precision!.value).toBe(figures.selection!.firedShare!.value)
      expect(figures.freeRunning!.sameAll).toBe(1)
      const { dense, asked } = figures.decode!
      expect(asked.weightBytes).toBeLessThan(dense.weightBytes)
      expect(asked.activeShare).toBeLessThan(0.9)
      expect(asked.tokensPerSecond.median).toBeGreaterThan(0)
    }))

  test("rejects a predictor that names nothing", () =>
    evaluated(relu, usePlugin(partOfFired, { step: 0 }), {}, (figures) => {
      expect(figures.fidelity).toBe("reject")
      expect(figures.selection).toMatchObject({ recall: zero, proposedShare: zero, magnitudeKept: zero })
      expect(figures.divergence.max).toBeGreaterThanOrEqual(figures.divergence.p99)
      expect(figures.divergence.p99).toBeGreaterThan(figures.divergence.median)
    }))

  test("counts recall and precision by block, against the run's own hidden vectors", () =>
    evaluated(relu, usePlugin(partOfFired, { step: 2 }), {}, ({ selection }) => {
      // Of an odd number of firing neurons the larger half is named.
      expect(selection!.recall!.value).toBeGreaterThanOrEqual(0.5)
      expect(selection!.recall!.value).toBeLessThan(0.52)
      expect(selection!.precision).toEqual(one)
      expect(selection!.blocks).toHaveLength(2)
      for (const block of selection!.blocks) {
        expect(block.recall!).toBeCloseTo(0.5, 1)
        expect(block.proposedShare).toBeCloseTo(block.firedShare! * block.recall!, 12)
      }
    }))

  test("counts neurons that were named and do not fire against precision alone", () =>
    evaluated(relu, usePlugin(partOfFired, { step: 1, others: true }), {}, ({ selection, divergence }) => {
      expect(selection!.recall).toEqual(one)
      expect(selection!.proposedShare).toEqual(one)
      expect(selection!.precision!.value).toBeCloseTo(selection!.firedShare!.value, 12)
      expect(divergence.max).toBeLessThan(1e-9)
    }))

  test("leaves recall undefined where no activation is zero, and still says what was kept", () =>
    evaluated(silu, usePlugin(partOfFired, { step: 2 }), {}, ({ selection }) => {
      expect(selection!.recall).toBeUndefined()
      expect(selection!.precision).toBeUndefined()
      expect(selection!.proposedShare.value).toBeCloseTo(0.5, 2)
      expect(selection!.magnitudeKept.value).toBeGreaterThan(0.4)
      expect(selection!.magnitudeKept.value).toBeLessThan(0.6)
    }))

  test("counts what is below a predictor's thresholds as not selected", () =>
    evaluated(
      silu,
      usePlugin(partOfFired, { step: 1, threshold: 0.1 }),
      { decodeWindows: 5 },
      ({ selection, decode }) => {
        const { proposedShare, magnitudeKept } = selection!
        expect(proposedShare.value).toBeGreaterThan(0.2)
        expect(proposedShare.value).toBeLessThan(0.95)
        expect(magnitudeKept.value).toBeGreaterThan(proposedShare.value)
        // The device counts what it computes: of much the same tokens.
        expect(decode!.asked.activeShare).toBeCloseTo(proposedShare.value, 1)
      }
    ))

  test("counts the bytes that the predictor says it reads", () =>
    evaluated(relu, usePlugin(partOfFired, { step: 1, bytes: 1000 }), { decodeWindows: 1 }, ({ decode }) => {
      expect(decode!.asked.predictorBytes).toBe(2 * 1000)
      expect(decode!.dense.predictorBytes).toBe(0)
    }))

  test("leaves out what is not asked for", () =>
    evaluated(relu, exactGate, { selection: false }, (figures) => {
      expect(figures.selection).toBeUndefined()
      expect(figures.freeRunning).toBeUndefined()
      expect(figures.decode).toBeUndefined()
    }))

  test("gives the perplexity and the divergence of a plain computation", () =>
    evaluated(relu, usePlugin(partOfFired, { step: 2 }), {}, async (figures, dense) => {
      const windows = await windowsOf(20)
      const expected = await Promise.all(windows.map((window) => plainNlls(dense, window)))
      const nlls = expected.flat()
      expect(nlls).toHaveLength(figures.scoredTokens)
      const perplexity = Math.exp(nlls.reduce((sum, nll) => sum + nll, 0) / nlls.length)
      expect(figures.perplexity.dense.value / perplexity).toBeCloseTo(1, 9)
      expect(figures.perplexity.dense.low).toBeLessThan(perplexity)
      expect(figures.perplexity.dense.high).toBeGreaterThan(perplexity)
      expect(figures.deltaLogPerplexity.value).toBeCloseTo(Math.log(figures.perplexity.asked.value / perplexity), 9)
    }))

  test("gives the same figures for the same seed", async () => {
    const run = () => evaluated(relu, usePlugin(partOfFired, { step: 3 }), {}, (figures) => figures)
    expect(await run()).toEqual(await run())
  })

  test("refuses a token the model does not have", async () => {
    const windows: ReadonlyArray<EvaluationWindow> = [{ tokens: [1, 99_999], firstScored: 1, targets: [2] }]
    const refused = evaluated(relu, everyNeuron, { windows }, () => {})
    await expect(refused).rejects.toThrow("99999")
  })

  test.skipIf(!has("backend", "cpu"))(
    "reaches the published F16 perplexity of the first eight windows within 0.01%",
    () =>
      Effect.gen(function* () {
        const model = yield* openModel(models.f16)
        const tokenizer = yield* openTokenizer(model.gguf.metadata)
        const head = yield* Effect.promise(() => Bun.file("test/golden/text/valid_head.txt").text())
        const windows = yield* cutWindows(textTokens(tokenizer, head), tokenizer, {
          protocol: "whole_windows",
          windowLength: 512,
          windowCount: 8
        })
        const plan = yield* openPlan(model, planOptions(), () => {})
        const figures = yield* evaluate(plan, plan, { ...onlyFidelity, windows, cacheType: "f16", selection: false })
        expect(Math.abs(figures.perplexity.dense.value / 20.9187 - 1)).toBeLessThan(1e-4)
        // Two runs on one device do not disturb each other.
        expect(figures.divergence.max).toBe(0)
      }).pipe(Effect.scoped, Effect.runPromise),
    60_000
  )
})

/** −ln softmax(logits)[target] of every scored position, the long way. */
const plainNlls = async (plan: OpenPlan, { tokens, firstScored, targets }: EvaluationWindow) => {
  const nlls: Array<number> = []
  const evaluating = evaluateTokens(plan, tokens, { cacheType: "f32", rowCount: 1 }, (position, logits) => {
    if (position < firstScored) return
    const weights = [...logits].map((logit) => Math.exp(logit))
    const sum = weights.reduce((all, weight) => all + weight, 0)
    nlls.push(-Math.log(weights[targets[position - firstScored]!]! / sum))
  })
  await Effect.runPromise(evaluating)
  return nlls
}

test("fidelityClass() draws its lines where they are documented", () => {
  const classOf = (divergence: number, topAgreement = 1, exact = false) =>
    fidelityClass({ exact, divergence, topAgreement })
  expect(classOf(0, 1, true)).toBe("exact")
  expect(classOf(1e-5, 1, true)).toBe("transparent")
  expect(classOf(0)).toBe("transparent")
  expect(classOf(0.005)).toBe("transparent")
  expect(classOf(0.0051, 0.92)).toBe("good")
  expect(classOf(0.03, 0.919)).toBe("degraded")
  expect(classOf(0.031)).toBe("degraded")
  expect(classOf(0.1)).toBe("degraded")
  expect(classOf(0.101)).toBe("reject")
})

test("evaluation is kept in a file, and refused for another model", () =>
  evaluated(relu, exactGate, { promptCount: 1, writtenTokens: 3, decodeWindows: 1 }, (figures) =>
    Effect.gen(function* () {
      const model = yield* openModel(relu)
      const path = join(folder, "evaluation.json")
      const used = { name: "some", version: "1.0.0", options: { share: 0.1 } }
      const whole = {
        model: yield* identityOf(model),
        corpora: [{ name: "a.txt", sha256: "00" }],
        protocol: "llama.cpp" as const,
        windowLength: 20,
        windows: 5,
        seed: 1,
        predictor: used,
        placement: used,
        backends: [used],
        figures
      }
      yield* evaluation.write(path, whole)
      expect(yield* evaluation.read(path, model)).toEqual(whole)
      const stale = yield* Effect.flip(evaluation.read(path, yield* openModel(silu)))
      expect(stale._tag).toBe("StaleArtifact")
    }).pipe(Effect.runPromise)
  ))
