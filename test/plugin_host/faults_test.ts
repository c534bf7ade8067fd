// Goal: a plugin that breaks its contract yields an error that names it and the call; the engine and other sessions live on.
// Method: a predictor that is faulty in the way its option names, opened in a worker and here, with and without every call checked.
import { expect, test } from "bun:test"
import {
  evaluateTokens,
  type GenerationPart,
  openEngine,
  openPlan,
  type PlanOptions,
  usePlugin
} from "@powerinfer/core"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { openTinyModel } from "@powerinfer/core/testing"
import { models, planOptions } from "../support/plans.ts"
import faultyBackend from "../support/plugins/faulty_backend.ts"
import faultyPlacement from "../support/plugins/faulty_placement.ts"
import faultyPredictor, { faults } from "../support/plugins/faulty_predictor.ts"

type Fault = (typeof faults)[number]

const faulty = (fault: Fault, options: Partial<PlanOptions> = {}): PlanOptions =>
  planOptions({ predictor: usePlugin(faultyPredictor, { fault }), openTimeoutsMs: { predictor: 300 }, ...options })

/** The error of opening a model and running a few tokens; a defect counts as what was thrown. */
const errorOf = async (fault: Fault, options: Partial<PlanOptions> = {}): Promise<unknown> => {
  const run = Effect.gen(function* () {
    // No multiple of 32: there are bits that belong to no neuron.
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: { ffnWidth: 75 } })
    const plan = yield* openPlan(model, faulty(fault, options), () => {})
    yield* evaluateTokens(plan, [1, 2, 3, 4], { cacheType: "f32" }, () => {})
  })
  const exit = await Effect.runPromiseExit(Effect.scoped(run))
  return Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause)
}

for (const [fault, call, words] of [
  ["open throws", "open", "cannot even begin"],
  ["open dies", "open", "died in the middle"],
  ["open never returns", "open", "it has not answered for 0.3 s"],
  ["open returns nothing", "open", "undefined, which is no selector"],
  ["open returns another shape", "open", 'proposes most; "every" or "some" is wanted'],
  ["select throws", "select", "no idea which neurons (at "],
  ["select adds a neuron beyond the last", "select", "Cannot add neuron 75 to row 0"],
  ["select writes bits beyond the last neuron", "select", "named neurons at 75 or above for row 0 of block 0"],
  ["select changes rowCount", "select", "it set rowCount to 0; the batch has 4 rows"]
] as const) {
  test(`a predictor whose ${fault} is a PluginFault of ${call}`, async () => {
    const error = await errorOf(fault)
    expect(error).toMatchObject({ _tag: "PluginFault", kind: "predictor", name: "faulty_predictor", call })
    expect((error as Error).message).toContain(words)
    expect((error as Error).message).toStartWith(`The predictor faulty_predictor failed in ${call}: `)
  })
}

for (const [fault, words] of [
  ["select writes to the hidden vectors", "it wrote to the hidden vectors of block 0"],
  ["select writes beyond the batch", "it wrote beyond the 4 rows of block 0"]
] as const) {
  test(`a predictor whose ${fault} is noticed when every call is checked`, async () => {
    const error = await errorOf(fault, { checkPlugins: true })
    expect(error).toMatchObject({ _tag: "PluginFault", name: "faulty_predictor", call: "select" })
    expect((error as Error).message).toContain(words)
  })
}

test("a predictor without a fault passes with every call checked", async () => {
  expect(await errorOf("none", { checkPlugins: true })).toBeUndefined()
})

test("a predictor whose open keeps the thread ends with its worker, by name", async () => {
  const options = { ...faulty("open keeps the thread"), model: models.f16 }
  const error = await openEngine(options).pipe(Effect.scoped, Effect.flip, Effect.runPromise)
  expect(error).toMatchObject({ _tag: "PluginFault", kind: "predictor", name: "faulty_predictor", call: "open" })
  expect(error.message).toContain("it has not given its thread back for 0.3 s")
}, 20_000)

test("a predictor that waits for ever is ended by the worker itself", async () => {
  const options = { ...faulty("open never returns"), model: models.f16 }
  const error = await openEngine(options).pipe(Effect.scoped, Effect.flip, Effect.runPromise)
  expect(error.message).toContain("failed in open: it has not answered for 0.3 s")
}, 20_000)

test("a batch that a predictor breaks is run again session by session: only whose rows are to blame fails", async () => {
  const greedy = { temperature: 0 }
  const prompt = [1, 398]
  const tokensOf = (parts: ReadonlyArray<GenerationPart>) => parts.flatMap(({ token }) => token ?? [])
  const { alone, beside, broken } = await openEngine({
    ...faulty("select throws in large batches"),
    model: models.f16
  }).pipe(
    Effect.flatMap((engine) =>
      Effect.gen(function* () {
        const run = (ids: ReadonlyArray<number>) =>
          Stream.runCollect(engine.generate({ prompt: ids, sampling: greedy, maxTokens: 40, ignoreEndOfText: true }))
        const alone = yield* run(prompt)
        const long = yield* Effect.forkChild(run(prompt))
        const failures: Array<string> = []
        // Its five rows join the batches of the other session, which goes on from token to token.
        for (let i = 0; i < 5; i++) failures.push((yield* Effect.orDie(Effect.flip(run([1, 2, 3, 4, 5]))))._tag)
        return { alone, beside: yield* Fiber.join(long), broken: failures }
      })
    ),
    Effect.scoped,
    Effect.runPromise
  )
  expect(broken).toEqual(Array.from({ length: 5 }, () => "PluginFault"))
  expect(tokensOf(beside)).toEqual(tokensOf(alone))
})

for (const [fault, words] of [
  ["open throws", "no plan today"],
  ["open returns no plan", "the home is device undefined of 1"]
] as const) {
  test(`a placement policy whose ${fault} is a PluginFault of open`, async () => {
    const error = await errorOf("none", { placement: usePlugin(faultyPlacement, { fault }) })
    expect(error).toMatchObject({ _tag: "PluginFault", kind: "placement", name: "faulty_placement", call: "open" })
    expect((error as Error).message).toContain(words)
  })
}

for (const [fault, call, words, checkPlugins] of [
  ["facts throws", "facts", "nobody knows", false],
  ["open returns half a device", "open", "its device lacks openCache, embed, attend", false],
  ["attend throws", "attend", "the device has gone", false],
  ["attend returns other rows", "attend", "it returned 5 rows of 64; 4 of 64 are wanted", true],
  ["startFfn returns infinity", "startFfn", "the FFN of block 0 is Infinity at 0", true]
] as const) {
  test(`a backend whose ${fault} is a PluginFault of ${call}${checkPlugins ? " when every call is checked" : ""}`, async () => {
    const error = await errorOf("none", { backends: [usePlugin(faultyBackend, { fault })], checkPlugins })
    expect(error).toMatchObject({ _tag: "PluginFault", kind: "backend", name: "faulty_backend", call })
    expect((error as Error).message).toContain(words)
  })
}
