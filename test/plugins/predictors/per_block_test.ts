// Goal: per_block asks in each block whoever stands there, reads its lists, and chooses the mix that keeps enough and reads least.
// Method: predictors made for the test; choices against trying every mix; what is judged against sums over a given set of rows.
import { describe, expect, test } from "bun:test"
import { loadPlugin, type Model, NeuronSet, type NeuronSelector, PredictorFailure } from "@powerinfer/core"
import { openTinyModel, predictorContext, predictorContract, selectStrangers } from "@powerinfer/core/testing"
import plugin, { perBlock, type PerBlockOptions } from "@powerinfer/predictor-per-block"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { randomFromSeed } from "../../../core/sampler/random.ts"
import { listOf, textsByBlock } from "../../../plugins/predictors/per_block/block_texts.ts"
import { choosePredictors } from "../../../plugins/predictors/per_block/choose.ts"
import { judgeAll } from "../../../plugins/predictors/per_block/judge.ts"
import { has } from "../../support/plans.ts"

const where = has("predictor", "oracle_top_k") && has("predictor", "exact_gate") ? describe : describe.skip
where("chosen by training", () => {
  const options = { candidates: ["exact_gate", "oracle_top_k:share=0.2"], kept: 0.9 }
  predictorContract({ test, plugin, options })
})

test("perBlock() loads by the module it names", async () => {
  expect((await Effect.runPromise(loadPlugin(perBlock({ blocks: "any" })))).plugin).toBe(plugin)
})

for (const [written, expected] of [
  ["a", ["a", "a", "a", "a"]],
  ["a; b;c ;d", ["a", "b", "c", "d"]],
  [
    ["a", "b", "c", "d"],
    ["a", "b", "c", "d"]
  ],
  ["a;1=b", ["a", "b", "a", "a"]],
  ["1-2=b;a;2=c", ["a", "b", "c", "a"]],
  ["0-3=then:propose=(a:x=1;y=2)", Array.from({ length: 4 }, () => "then:propose=(a:x=1;y=2)")]
] as const) {
  test(`textsByBlock() reads ${JSON.stringify(written)}`, () => expect(textsByBlock(written, 4)).toEqual([...expected]))
}

for (const [written, reason] of [
  ["a;b", "2 predictors for 4 blocks"],
  ["a;b;c;d;0=e", "4 predictors and 1 exceptions"],
  ["a;4=b", "there are no blocks 4 to 4"],
  ["a;3-2=b", "there are no blocks 3 to 2"],
  ["0-2=a", "block 3 has no predictor"],
  ["", "block 0 has no predictor"]
] as const) {
  test(`textsByBlock() refuses ${JSON.stringify(written)}`, () => expect(textsByBlock(written, 4)).toContain(reason))
}

test("listOf() leaves what stands in parentheses together", () =>
  expect(listOf("a:b=(c;d);e")).toEqual(["a:b=(c;d)", "e"]))

const naming = (neurons: ReadonlyArray<number>, said: Partial<NeuronSelector> = {}): NeuronSelector => ({
  proposes: "some",
  confirms: false,
  exact: false,
  select: (_block, { rowCount }, active) => {
    for (let row = 0; row < rowCount; row++) for (const neuron of neurons) active.add(row, neuron)
  },
  ...said
})
const every: NeuronSelector = {
  proposes: "every",
  confirms: true,
  exact: true,
  select: () => expect.unreachable("nobody asks it")
}

const ffnWidth = 3
const model = { shape: { blockCount: 3, ffnWidth, hiddenWidth: 2 } } as Model

const open = async (options: PerBlockOptions, known: Readonly<Record<string, NeuronSelector>>) => {
  const opened: Array<string> = []
  const openPredictor = (text: string) => {
    opened.push(text)
    return Effect.succeed(known[text]!)
  }
  const selector = await Effect.runPromise(
    Effect.scoped(plugin.open(options, predictorContext(model, { openPredictor })))
  )
  return { selector, opened }
}

test("per_block asks whoever stands in a block, and opens each once", async () => {
  const { selector, opened } = await open({ blocks: "a;1=every;2=b" }, { a: naming([0]), b: naming([1, 2]), every })
  expect(opened).toEqual(["a", "every", "b"])
  const active = new NeuronSet(ffnWidth, 1)
  const named = [0, 1, 2].map((block) => {
    selectStrangers(selector, block, { rowCount: 1, width: 2, values: new Float32Array(2) }, active)
    return active.words[0]
  })
  expect(named).toEqual([0b001, 0b111, 0b110])
  const again = await open({ blocks: ["a", "a", "b"] }, { a: naming([0]), b: naming([1]) })
  expect(again.opened).toEqual(["a", "b"])
})

test("per_block says of itself what is true of all its parts", async () => {
  const gate = new Float32Array(3)
  const a = naming([0], { exact: true, selectionBytes: [1, 2, 3], native: { predictor: 7 } })
  const b = naming([1], { thresholds: [{}, {}, { gate }], selectionBytes: [10, 20, 30] })
  const mixed = (await open({ blocks: "a;1=every;2=b" }, { a, b, every })).selector
  expect(mixed).toMatchObject({ proposes: "some", confirms: true, exact: false })
  expect(mixed.selectionBytes).toEqual([1, 0, 30])
  expect(mixed.thresholds).toEqual([{}, {}, { gate }])
  expect(mixed.blocks).toMatchObject([
    { proposes: "some", native: { predictor: 7 } },
    { proposes: "every" },
    { proposes: "some" }
  ])
  expect(mixed.blocks![2]!.native).toBeUndefined()
  expect((await open({ blocks: "a" }, { a })).selector).toMatchObject({ exact: true, confirms: false })
  expect((await open({ blocks: "every" }, { every })).selector).toMatchObject({ proposes: "every", exact: true })
})

test("per_block refuses to open without a choice, and to be trained without candidates", async () => {
  const error = await Effect.runPromise(Effect.flip(Effect.scoped(plugin.open({}, predictorContext(model)))))
  expect(error).toBeInstanceOf(PredictorFailure)
  expect(error.message).toContain("powerinfer train per_block")
  const { openPredictor } = predictorContext(model)
  const context = { model, openPredictor, seed: 1, out: "none", rowCount: 0, rows: () => [], announce: () => {} }
  const untrained = await Effect.runPromise(Effect.flip(Effect.scoped(plugin.train!({}, context as never))))
  expect(untrained.message).toContain("no candidates")
})

/** Two rows of one block. */
const activations = Float32Array.of(4, 0, 1, 0, 2, 3)

test("judgeAll() counts what is kept, and the bytes of a token that decodes alone", async () => {
  const judged = await Effect.gen(function* () {
    const tiny = yield* openTinyModel({
      family: "llama",
      seed: 1,
      activation: "relu",
      shape: { ffnWidth, blockCount: 1 }
    })
    const rows = () => [{ rowCount: 2, hidden: new Float32Array(2 * tiny.shape.hiddenWidth), activations }]
    const selectors = [
      every,
      naming([0, 2], { selectionBytes: [100] }),
      naming([0, 2], { confirms: true, thresholds: [{ activation: Float32Array.of(0, 0, 1) }] })
    ]
    const row = 4 * tiny.shape.hiddenWidth
    return judgeAll(selectors, { model: tiny, rows }).map(([one]) => ({ kept: one!.kept * 10, rows: one!.bytes / row }))
  }).pipe(Effect.scoped, Effect.runPromise)
  // Of rows [4 0 1] and [0 2 3]: all of it, 3 gates a row and 4 neurons that fire; then 8 of 10 by two neurons a row.
  expect(judged[0]).toEqual({ kept: 10, rows: 3 + 2 * 2 })
  expect(judged[1]!.kept).toBeCloseTo(8, 10)
  expect(judged[1]!.rows).toBeCloseTo(2 * 3 + 100 / 256, 10)
  expect(judged[2]!.kept).toBeCloseTo(7, 10)
  expect(judged[2]!.rows).toBeCloseTo(2 + 2, 10)
})

test("judgeAll() shows rows as one session that goes on, to nobody the block before first", async () => {
  const seen: Array<readonly [block: number, position: number]> = []
  const spy = naming([0], {
    select: (block, _hidden, _active, batch) => seen.push([block, batch.rows[1]!]) as unknown as void
  })
  await Effect.gen(function* () {
    const tiny = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: { ffnWidth } })
    const chunk = { rowCount: 2, hidden: new Float32Array(2 * tiny.shape.hiddenWidth), activations }
    judgeAll([spy], { model: tiny, rows: () => [chunk, chunk] })
  }).pipe(Effect.scoped, Effect.runPromise)
  expect(seen).toEqual([
    [1, 0],
    [0, 0],
    [1, 2],
    [0, 2]
  ])
})

for (let seed = 1; seed <= 20; seed++) {
  test(`choosePredictors() keeps enough, and reads at most one step more than the best mix (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const blockCount = 4
    const judgements = Array.from({ length: 3 }, () =>
      Array.from({ length: blockCount }, () => ({ kept: random.nextUniform(), bytes: 1 + (random.nextU32() % 100) }))
    )
    const mean = (mix: ReadonlyArray<number>) =>
      mix.reduce((sum, which, block) => sum + judgements[which]![block]!.kept, 0) / blockCount
    const bytes = (mix: ReadonlyArray<number>) =>
      mix.reduce((sum, which, block) => sum + judgements[which]![block]!.bytes, 0)
    const mixes = Array.from({ length: 3 ** blockCount }, (_, mix) =>
      Array.from({ length: blockCount }, (_, block) => Math.floor(mix / 3 ** block) % 3)
    )
    const most = Math.max(...mixes.map(mean))
    const wanted = most * (0.7 + 0.3 * random.nextUniform())
    const chosen = choosePredictors(judgements, wanted)
    expect(mean(chosen)).toBeGreaterThanOrEqual(wanted - 1e-9)
    const best = Math.min(...mixes.filter((mix) => mean(mix) >= wanted - 1e-9).map(bytes))
    expect(bytes(chosen) - best).toBeLessThan(100)
  })
}

test("choosePredictors() takes whoever keeps most where nobody keeps enough, and of equals whoever reads least", () => {
  const judgements = [[{ kept: 0.8, bytes: 5 }], [{ kept: 0.8, bytes: 4 }], [{ kept: 0.7, bytes: 1 }]]
  expect(choosePredictors(judgements, 0.9)).toEqual([1])
})

test("per_block writes its choice for the model, and opens from it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "powerinfer-per-block-"))
  await Effect.gen(function* () {
    const tiny = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: { ffnWidth } })
    const openPredictor = (text: string) => Effect.succeed(text === "a" ? naming([0, 1, 2]) : every)
    const context = {
      ...predictorContext(tiny, { openPredictor }),
      seed: 1,
      out: join(folder, "mix.gguf"),
      rowCount: 2
    }
    const rows = () => [{ rowCount: 2, hidden: new Float32Array(2 * tiny.shape.hiddenWidth), activations }]
    const learned = yield* plugin.train!({ candidates: "a;b", kept: 0.9 }, { ...context, rows })
    // All candidates keep all; confirming reads less.
    expect(yield* plugin.open(learned, context)).toMatchObject({ proposes: "every", confirms: true })
    const other = yield* openTinyModel({ family: "llama", seed: 2, activation: "relu", shape: { ffnWidth } })
    const refused = yield* Effect.flip(plugin.open(learned, predictorContext(other, { openPredictor })))
    expect(refused._tag).toBe("PredictorMismatch")
  }).pipe(Effect.scoped, Effect.runPromise)
  rmSync(folder, { recursive: true })
})
