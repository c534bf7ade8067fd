// Goal: the reference backend is worth its name.
// Method: every family against logits of an independent implementation; greedy tokens of really trained models against theirs;
// then the contract that every backend keeps, with itself as the oracle (which leaves what a backend promises by itself).
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import plugin, { reference } from "@powerinfer/backend-reference"
import { Batch, bindPlugin, loadPlugin, openModel } from "@powerinfer/core"
import { backendContract, openHome, openTinyModel, runBatch } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { familyError, goldenFamilies, goldenTolerance } from "../../support/golden_families.ts"

const backend = Effect.runSync(bindPlugin(plugin, {}))

for (const name of goldenFamilies) {
  for (const confirms of [false, true]) {
    test(`reference computes ${name} as transformers does, ${confirms ? "confirming" : "dense"}`, async () => {
      expect(await familyError(backend, name, { rowCount: 16, confirms })).toBeLessThanOrEqual(goldenTolerance)
    })
  }
}

test("reference() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(reference()))).plugin).toBe(plugin)
})

describe("contract", () => backendContract({ test, plugin, oracle: plugin, types: ["F32", "Q8_0"] }))

interface Prompt {
  readonly ids: ReadonlyArray<number>
  readonly greedy_ids: ReadonlyArray<number>
  readonly greedy_margin: ReadonlyArray<number>
}

/** Below this margin between the best and the second logit, rounding may decide. */
const marginMin = 0.02

/** Feeds the reference's own tokens and compares each choice, up to the first that rounding may decide. */
const checkGreedy = (model: string, prompt: Prompt, stepCount: number): Promise<number> =>
  Effect.gen(function* () {
    const opened = yield* openModel(model)
    const home = yield* openHome(backend, opened, { rowCountMax: 16, sparse: true })
    const cache = yield* home.openCache(prompt.ids.length + stepCount, "f32")
    const batch = new Batch(16)
    for (const [position, id] of prompt.ids.entries())
      batch.add(id, position, cache, position === prompt.ids.length - 1)
    let step = 0
    for (; step < stepCount && prompt.greedy_margin[step]! >= marginMin; step++) {
      const logits = runBatch(home, opened.shape.blockCount, batch, { confirms: true })
      expect([step, logits.indexOf(Math.max(...logits))]).toEqual([step, prompt.greedy_ids[step]!])
      batch.clear()
      batch.add(prompt.greedy_ids[step]!, prompt.ids.length + step, cache, true)
    }
    return step
  }).pipe(Effect.scoped, Effect.runPromise)

for (const name of ["relu-llama-7m", "relu-opt-3m"]) {
  test(`reference continues prompts greedily as torch does (${name}, F16)`, async () => {
    const { prompts } = JSON.parse(readFileSync(`models/${name}/reference.json`, "utf8")) as {
      readonly prompts: ReadonlyArray<Prompt>
    }
    let compared = 0
    for (const prompt of prompts.slice(0, 3))
      compared += await checkGreedy(`models/${name}/${name}-f16.gguf`, prompt, 12)
    // Margins that are too small end a comparison early; enough must remain.
    expect(compared).toBeGreaterThan(20)
  })
}

test("reference refuses neurons of another device's share", async () => {
  const program = Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1 })
    const share = new Uint32Array(3).fill(1)
    const home = yield* backend.open({
      model,
      shares: model.blocks.map(() => share),
      home: true,
      rowCountMax: 1,
      sparse: true,
      candidates: "some",
      announce: () => {}
    })
    const cache = yield* home.openCache(1, "f32")
    const batch = new Batch(1)
    batch.add(5, 0, cache, true)
    expect(() => runBatch(home, model.shape.blockCount, batch)).toThrow("do not live on this device")
  })
  await program.pipe(Effect.scoped, Effect.runPromise)
})

test("reference refuses a cache longer than the model's learned positions", async () => {
  const program = Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "opt", seed: 1, shape: { contextLength: 20 } })
    const home = yield* openHome(backend, model, { rowCountMax: 1, sparse: false })
    return yield* Effect.flip(home.openCache(21, "f32"))
  })
  const error = await program.pipe(Effect.scoped, Effect.runPromise)
  expect(error._tag).toBe("BackendFailure")
  expect(error.message).toContain("learned 20 positions")
})

test("reference refuses rows outside the vocabulary, the cache or the session", async () => {
  const program = Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1 })
    const home = yield* openHome(backend, model, { rowCountMax: 1, sparse: false })
    const cache = yield* home.openCache(4, "f32")
    const rows = [
      [model.shape.vocabularySize, 0, cache],
      [1, 4, cache],
      [1, 0, cache + 1]
    ] as const
    for (const [token, position, id] of rows) {
      const batch = new Batch(1)
      batch.add(token, position, id, true)
      expect(() => home.embed(batch)).toThrow(RangeError)
    }
  })
  await program.pipe(Effect.scoped, Effect.runPromise)
})
