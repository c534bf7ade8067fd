// Goal: then computes what both predictors name, and says of itself what follows from what they say.
// Method: two predictors made for the test, that name residue classes of neurons, in every combination that matters.
import { describe, expect, test } from "bun:test"
import { loadPlugin, NeuronSet, type NeuronSelector } from "@powerinfer/core"
import { openTinyModel, predictorContext, predictorContract, selectStrangers } from "@powerinfer/core/testing"
import plugin, { proposeThenConfirm, type ThenOptions } from "@powerinfer/predictor-then"
import { Effect } from "effect"
import { has } from "../../support/plans.ts"

// Both name sets: elsewhere it hands on what another predictor does.
const options: ThenOptions = { propose: "oracle_top_k:share=0.3", confirm: "oracle_top_k:share=0.2" }
const where = has("predictor", "oracle_top_k") ? describe : describe.skip
where(`with ${JSON.stringify(options)}`, () => predictorContract({ test, plugin, options }))

const multiplesOf = (divisor: number, said: Partial<NeuronSelector> = {}): NeuronSelector => ({
  proposes: "some",
  confirms: false,
  exact: false,
  select: (_block, { rowCount }, active) => {
    for (let row = 0; row < rowCount; row++) {
      for (let neuron = 0; neuron < active.ffnWidth; neuron += divisor) active.add(row, neuron)
    }
  },
  ...said
})
const every: NeuronSelector = {
  proposes: "every",
  confirms: true,
  exact: true,
  select: (_block, _hidden, active) => active.fill()
}

/** Opens `then` over these two. */
const open = (known: Readonly<Record<string, NeuronSelector>>, options: ThenOptions): Promise<NeuronSelector> =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu" })
    const openPredictor = (text: string) => Effect.succeed(known[text]!)
    return yield* plugin.open(options, predictorContext(model, { openPredictor }))
  }).pipe(Effect.scoped, Effect.runPromise)

const named = (selector: NeuronSelector, rowCount: number): ReadonlyArray<ReadonlyArray<number>> => {
  const active = new NeuronSet(96, rowCount)
  selectStrangers(selector, 0, { rowCount, width: 64, values: new Float32Array(rowCount * 64) }, active)
  return Array.from({ length: rowCount }, (_, row) =>
    Array.from({ length: 96 }, (_, neuron) => neuron).filter((neuron) => active.has(row, neuron))
  )
}

test("then names what both name, in every row", async () => {
  const selector = await open({ a: multiplesOf(2), b: multiplesOf(3) }, { propose: "a", confirm: "b" })
  const multiplesOfSix = Array.from({ length: 16 }, (_, at) => 6 * at)
  expect(named(selector, 3)).toEqual([multiplesOfSix, multiplesOfSix, multiplesOfSix])
})

test("then leaves the last word to the FFN unless somebody else has it, and hands a native proposer on", async () => {
  const native = { predictor: 7 }
  const proposer = multiplesOf(2, { native, selectionBytes: [3, 4] })
  const selector = await open({ a: proposer }, { propose: "a" })
  expect(selector).toMatchObject({ proposes: "some", confirms: true, exact: false, native, selectionBytes: [3, 4] })
  expect(selector.select).toBe(proposer.select)
})

test("then is the other one where one names every neuron", async () => {
  const proposer = multiplesOf(2, { native: { predictor: 7 } })
  const asItIs = await open({ a: proposer, every }, { propose: "a", confirm: "every" })
  expect(asItIs).toMatchObject({ proposes: "some", confirms: true, exact: false, native: { predictor: 7 } })
  const turned = await open({ a: proposer, every }, { propose: "every", confirm: "a" })
  expect(turned).toMatchObject({ proposes: "some", confirms: true, exact: false, native: { predictor: 7 } })
  expect(named(turned, 1)).toEqual(named(proposer, 1))
  expect(await open({ every }, { propose: "every", confirm: "every" })).toMatchObject({
    proposes: "every",
    exact: true
  })
})

test("then is not native where two sets are intersected, and reads what both read", async () => {
  const a = multiplesOf(2, { native: { predictor: 7 }, exact: true, selectionBytes: [1, 2] })
  const both = await open(
    { a, b: multiplesOf(3, { exact: true, selectionBytes: [10, 20] }) },
    { propose: "a", confirm: "b" }
  )
  expect(both.native).toBeUndefined()
  expect(both).toMatchObject({ exact: true, confirms: false, selectionBytes: [11, 22] })
  const one = await open({ a, b: multiplesOf(3) }, { propose: "a", confirm: "b" })
  expect(one).toMatchObject({ exact: false, selectionBytes: [1, 2] })
})

test("then drops a neuron that either would drop", async () => {
  const gate = Float32Array.of(1, 5)
  const activation = Float32Array.of(2)
  const a = multiplesOf(1, { thresholds: [{ gate }] })
  const b = multiplesOf(1, { thresholds: [{ gate: Float32Array.of(3, 4), activation }] })
  const selector = await open({ a, b }, { propose: "a", confirm: "b" })
  expect(selector.thresholds).toEqual([{ gate: Float32Array.of(3, 5), activation }])
})

test("then refuses as the predictors it names do", async () => {
  const model = await Effect.runPromise(Effect.scoped(openTinyModel({ family: "llama", seed: 1 })))
  const opened = plugin.open({ propose: "no_such_predictor" }, predictorContext(model))
  const error = await Effect.runPromise(Effect.flip(Effect.scoped(opened)))
  expect(error._tag).toBe("PredictorFailure")
  expect(error.message).toContain("no_such_predictor")
})

test("proposeThenConfirm() loads by the module it names", async () => {
  expect((await Effect.runPromise(loadPlugin(proposeThenConfirm({ propose: "every" })))).plugin).toBe(plugin)
})
