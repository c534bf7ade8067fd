// Goal: prompt_static keeps every neuron of a prompt and of sessions it knows nothing of, and decodes with those that were strongest in the prompt.
// Method: a probe that answers with given activations, sessions of a few rows; the statistic against its formula in f64.
import { expect, test } from "bun:test"
import { Batch, loadPlugin, type Model, NeuronSet, type NeuronSelector } from "@powerinfer/core"
import { predictorContext, predictorContract } from "@powerinfer/core/testing"
import plugin, { promptStatic, type PromptStaticOptions } from "@powerinfer/predictor-prompt-static"
import { Effect } from "effect"
import { randomFromSeed } from "../../../core/sampler/random.ts"

predictorContract({ test, plugin })

test("promptStatic() loads by the module it names", async () => {
  expect((await Effect.runPromise(loadPlugin(promptStatic({ share: 0.1 })))).plugin).toBe(plugin)
})

interface Row {
  readonly position: number
  readonly cache?: number
  /** Of a prompt row. */
  readonly activations?: ReadonlyArray<number>
}

const ffnWidth = 5
const all = [0, 1, 2, 3, 4]

/** A selector that is asked in batches: which neurons each row gets. */
const open = async (options: PromptStaticOptions) => {
  let looks = 0
  let asked: ReadonlyArray<Row> = []
  const probe = {
    activations: (_block: number, _hidden: unknown, into: Float32Array) => {
      looks++
      for (const [row, { activations }] of asked.entries()) if (activations) into.set(activations, row * ffnWidth)
    }
  }
  const model = { shape: { ffnWidth, blockCount: 2 } } as Model
  const selector: NeuronSelector = await Effect.runPromise(
    Effect.scoped(plugin.open(options, predictorContext(model, { probe })))
  )
  const ask = (rows: ReadonlyArray<Row>, block = 0): ReadonlyArray<ReadonlyArray<number>> => {
    asked = rows
    const batch = new Batch(rows.length)
    for (const { position, cache = 1, activations } of rows) {
      batch.add(0, position, cache, false, activations !== undefined)
    }
    const active = new NeuronSet(ffnWidth, rows.length)
    active.reset(rows.length)
    selector.select(block, { rowCount: rows.length, width: 1, values: new Float32Array(rows.length) }, active, batch)
    return rows.map((_, row) => all.filter((neuron) => active.has(row, neuron)))
  }
  return { ask, looks: () => looks }
}

const first: Row = { position: 0, activations: [0, 3, -9, 1, 0] }
const second: Row = { position: 1, activations: [5, 0, -1, 0, 0] }

test("prompt_static computes all of the prompt, then what was strongest in it, and looks at the prompt only", async () => {
  const { ask, looks } = await open({ share: 0.4 })
  expect(ask([first, second])).toEqual([all, all])
  expect(ask([{ position: 2 }])).toEqual([[0, 2]])
  expect(ask([{ position: 3 }])).toEqual([[0, 2]])
  expect(looks()).toBe(1)
})

test("prompt_static gives each token of the prompt the same weight", async () => {
  const { ask } = await open({ share: 0.2 })
  ask([{ position: 0, activations: [100, 90, 0, 0, 0] }])
  ask([{ position: 1, activations: [0, 1, 0, 0, 0] }])
  expect(ask([{ position: 2 }])).toEqual([[1]])
})

test("prompt_static keeps sessions and blocks apart, in whatever batches they come", async () => {
  const { ask } = await open({ share: 0.2 })
  const other: Row = { position: 0, cache: 2, activations: [0, 0, 0, 0, 8] }
  ask([first, other], 0)
  ask([{ ...first, activations: [0, 0, 0, 7, 0] }, other], 1)
  expect(ask([{ position: 1 }, { position: 1, cache: 2 }], 0)).toEqual([[2], [4]])
  expect(ask([{ position: 1, cache: 2 }, { position: 1 }], 1)).toEqual([[4], [3]])
})

test("prompt_static computes every neuron without a prompt, and after a gap", async () => {
  const { ask } = await open({ share: 0.2 })
  expect(ask([{ position: 0 }])).toEqual([all])
  expect(ask([{ position: 1 }])).toEqual([all])
  ask([first])
  expect(ask([{ position: 2 }])).toEqual([all])
  expect(ask([{ position: 3 }])).toEqual([all])
})

test("prompt_static chooses anew after the next turn of a conversation, from all that was read", async () => {
  const { ask } = await open({ share: 0.2 })
  ask([first])
  expect(ask([{ position: 1 }])).toEqual([[2]])
  const turn = (position: number): Row => ({ position, activations: [0, 0, 0, 4, 0] })
  expect(ask([turn(2), turn(3)])).toEqual([all, all])
  expect(ask([{ position: 4 }])).toEqual([[3]])
})

test("prompt_static starts again where a prompt does", async () => {
  const { ask } = await open({ share: 0.2 })
  ask([first, second])
  ask([second])
  expect(ask([{ position: 2 }])).toEqual([[0]])
})

test("prompt_static forgets the session that has waited longest, which then runs with every neuron", async () => {
  const { ask } = await open({ share: 0.2, sessions: 1 })
  ask([first])
  ask([{ ...first, cache: 2 }])
  expect(ask([{ position: 1, cache: 2 }])).toEqual([[2]])
  expect(ask([{ position: 1, cache: 1 }])).toEqual([all])
})

for (let seed = 1; seed <= 10; seed++) {
  test(`prompt_static orders neurons by the norm of their part of each token (seed ${seed})`, async () => {
    const random = randomFromSeed(seed)
    const { ask } = await open({ share: 0.6 })
    const rows = Array.from({ length: 6 }, (_, position) => ({
      position,
      activations: Array.from({ length: ffnWidth }, () => random.nextUniform() - 0.5)
    }))
    ask(rows.slice(0, 2 + (seed % 3)))
    ask(rows.slice(2 + (seed % 3)))
    const statistic = all.map((neuron) =>
      Math.hypot(...rows.map(({ activations }) => activations[neuron]! / Math.hypot(...activations)))
    )
    const strongest = all.toSorted((a, b) => statistic[b]! - statistic[a]!).slice(0, 3)
    expect(ask([{ position: 6 }])).toEqual([strongest.toSorted((a, b) => a - b)])
  })
}
