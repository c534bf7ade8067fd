// Goal: previous_token proposes the union of the last sets of a session, asks the other predictor when it is time, and shows it no other rows.
// Method: a predictor made for the test, that names the neuron in a row's first value, and sessions of a few rows against a list of sets.
import { describe, expect, test } from "bun:test"
import { Batch, loadPlugin, type Model, NeuronSet, type NeuronSelector } from "@powerinfer/core"
import { predictorContext, predictorContract } from "@powerinfer/core/testing"
import plugin, { previousToken, type PreviousTokenOptions } from "@powerinfer/predictor-previous-token"
import { Effect } from "effect"
import { randomFromSeed } from "../../../core/sampler/random.ts"
import { has } from "../../support/plans.ts"

const where = has("predictor", "oracle_top_k") ? describe : describe.skip
for (const options of [{ refresh: 1 }, { refresh: 2 }]) {
  const given = { of: "oracle_top_k:share=0.3", ...options }
  where(`with ${JSON.stringify(options)}`, () => predictorContract({ test, plugin, options: given }))
}

test("previousToken() loads by the module it names", async () => {
  expect((await Effect.runPromise(loadPlugin(previousToken({ of: "any" })))).plugin).toBe(plugin)
})

interface Row {
  readonly position: number
  readonly neuron: number
  readonly cache?: number
  readonly prompt?: boolean
}

const ffnWidth = 40

const open = async (options: Omit<PreviousTokenOptions, "of">, said: Partial<NeuronSelector> = {}) => {
  /** Rows of each call of the inner one. */
  const calls: Array<ReadonlyArray<number>> = []
  const inner: NeuronSelector = {
    proposes: "some",
    confirms: true,
    exact: true,
    selectionBytes: [30, 60],
    select: (_block, { rowCount, values, residual }, active, batch) => {
      calls.push(Array.from({ length: rowCount }, (_, row) => batch.rows[row * 3 + 1]!))
      for (let row = 0; row < rowCount; row++) active.add(row, values[row * 2]!)
      // Read as a row's own, not as another's.
      for (let row = 0; row < rowCount; row++) expect(residual?.[row * 2]).toBe(values[row * 2]! + 100)
    },
    ...said
  }
  const model = { shape: { ffnWidth, blockCount: 2, hiddenWidth: 2 } } as Model
  const openPredictor = () => Effect.succeed(inner)
  const opened = plugin.open({ of: "inner", ...options }, predictorContext(model, { openPredictor }))
  const selector = await Effect.runPromise(Effect.scoped(opened))
  const ask = (rows: ReadonlyArray<Row>, block = 0): ReadonlyArray<ReadonlyArray<number>> => {
    const batch = new Batch(rows.length)
    for (const { position, cache = 1, prompt = false } of rows) batch.add(0, position, cache, false, prompt)
    const active = new NeuronSet(ffnWidth, rows.length)
    active.reset(rows.length)
    const values = Float32Array.from(rows.flatMap(({ neuron }) => [neuron, 0]))
    const hidden = { rowCount: rows.length, width: 2, values, residual: values.map((value) => value + 100) }
    selector.select(block, hidden, active, batch)
    return rows.map((_, row) =>
      Array.from({ length: ffnWidth }, (_, neuron) => neuron).filter((neuron) => active.has(row, neuron))
    )
  }
  return { ask, calls, selector }
}

test("previous_token adds the sets of the last tokens to that of this one", async () => {
  const { ask } = await open({ window: 2 })
  const rows = [7, 3, 5, 1].map((neuron, position) => ({ position, neuron }))
  expect(ask(rows)).toEqual([[7], [3, 7], [3, 5], [1, 5]])
})

test("previous_token names the same in one batch and row by row, sessions and blocks apart", async () => {
  const { ask } = await open({ window: 3 })
  for (const [neuron, position, first, second] of [
    [4, 0, [4], [14]],
    [6, 1, [4, 6], [14, 16]],
    [8, 2, [4, 6, 8], [14, 16, 18]],
    [9, 3, [6, 8, 9], [16, 18, 19]]
  ] as const) {
    const both = [
      { position, neuron },
      { position, neuron: neuron + 10, cache: 2 }
    ]
    expect(ask(both)).toEqual([first, second])
    expect(ask([{ position, neuron: 30 + position, cache: 2 }], 1)[0]).toHaveLength(Math.min(position + 1, 3))
  }
})

test("previous_token asks for every third token at refresh 3, and lives on the window between", async () => {
  const { ask, calls } = await open({ window: 2, refresh: 3 })
  const rows = [1, 2, 3, 4, 5, 6, 7, 8].map((neuron, position) => ({ position, neuron }))
  expect(rows.map((row) => ask([row])[0])).toEqual([[1], [1], [1], [1, 4], [1, 4], [1, 4], [4, 7], [4, 7]])
  expect(calls).toEqual([[0], [3], [6]])
})

test("previous_token asks about all of a prompt, at once where nobody else is in the batch", async () => {
  const { ask, calls } = await open({ window: 8, refresh: 4 })
  ask([0, 1, 2].map((position) => ({ position, neuron: position, prompt: true })))
  expect(calls).toEqual([[0, 1, 2]])
  const mixed = [
    { position: 3, neuron: 9 },
    { position: 0, neuron: 20, cache: 2, prompt: true },
    { position: 1, neuron: 21, cache: 2, prompt: true }
  ]
  expect(ask(mixed)).toEqual([[0, 1, 2], [20], [20, 21]])
  expect(calls.slice(1)).toEqual([[0], [1]])
})

test("previous_token begins anew where a token does not follow, and where a session was forgotten", async () => {
  const { ask } = await open({ sessions: 1 })
  ask([{ position: 0, neuron: 1 }])
  expect(ask([{ position: 2, neuron: 2 }])).toEqual([[2]])
  expect(ask([{ position: 2, neuron: 3 }])).toEqual([[3]])
  ask([{ position: 0, neuron: 4, cache: 2 }])
  expect(ask([{ position: 3, neuron: 5 }])).toEqual([[5]])
})

test("previous_token says what follows from the other one", async () => {
  expect((await open({})).selector).toMatchObject({ confirms: true, exact: true, selectionBytes: [30, 60] })
  expect((await open({ refresh: 3 })).selector).toMatchObject({ exact: false, selectionBytes: [10, 20] })
  const error = await open({}, { proposes: "every" }).catch((cause: unknown) => String(cause))
  expect(error).toContain("names every neuron")
})

for (let seed = 1; seed <= 10; seed++) {
  test(`previous_token equals a list of sets, however rows are divided into batches (seed ${seed})`, async () => {
    const random = randomFromSeed(seed)
    const options = { window: 1 + (seed % 4), refresh: 1 + (seed % 3) }
    const { ask } = await open(options)
    const rows = Array.from({ length: 24 }, (_, position) => ({ position, neuron: random.nextU32() % ffnWidth }))
    const kept: Array<number> = []
    const expected = rows.map(({ position, neuron }) => {
      if (position % options.refresh === 0) kept.push(neuron)
      return [...new Set(kept.slice(-options.window))].toSorted((a, b) => a - b)
    })
    const actual: Array<ReadonlyArray<number>> = []
    for (let at = 0; at < rows.length;) {
      const end = Math.min(at + 1 + (random.nextU32() % 5), rows.length)
      actual.push(...ask(rows.slice(at, end)))
      at = end
    }
    expect(actual).toEqual(expected)
  })
}
