// Goal: oracle_top_k keeps the contract of predictors, and names the k largest activations of every row, ties going to the lowest ids, zeros to nobody.
// Method: a probe that answers with seeded numbers, against sorting them.
import { describe, expect, test } from "bun:test"
import { loadPlugin, type Model, NeuronSet, optionFields } from "@powerinfer/core"
import { predictorContext, predictorContract, selectStrangers } from "@powerinfer/core/testing"
import plugin, { oracleTopK, type OracleTopKOptions } from "@powerinfer/predictor-oracle-top-k"
import { Effect } from "effect"
import { randomFromSeed } from "../../../core/sampler/random.ts"

for (const options of [{}, { k: 1 }, { share: 1 }]) {
  describe(`with ${JSON.stringify(options)}`, () => predictorContract({ test, plugin, options }))
}

for (const options of [{}, { k: 3 }, { share: 0.5 }]) {
  test(`oracleTopK(${JSON.stringify(options)}) loads by the module it names`, async () => {
    expect((await Effect.runPromise(loadPlugin(oracleTopK(options)))).plugin).toBe(plugin)
  })
}

for (const options of [{ k: 0 }, { k: 1.5 }, { share: 0 }, { share: 1.01 }, { k: 1, share: 0.1 }]) {
  test(`oracleTopK(${JSON.stringify(options)}) is refused when it is loaded`, async () => {
    const error = await Effect.runPromise(Effect.flip(loadPlugin(oracleTopK(options))))
    expect(error._tag).toBe("PluginUnavailable")
    expect(error.message).toContain("options are wrong")
  })
}

test("oracle_top_k has its options as fields with a description each", () => {
  const fields = optionFields(plugin.options)
  expect(fields.map(({ key, kind, required }) => [key, kind, required])).toEqual([
    ["k", "integer", false],
    ["share", "number", false]
  ])
  for (const field of fields) expect(field.description).toBeString()
})

/** Selects one batch whose activations are `rows`. */
const select = async (
  options: OracleTopKOptions,
  rows: ReadonlyArray<ReadonlyArray<number>>
): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
  const ffnWidth = rows[0]!.length
  const model = { shape: { ffnWidth } } as Model
  const probe = { activations: (_block: number, _hidden: unknown, into: Float32Array) => into.set(rows.flat()) }
  const opened = plugin.open(options, predictorContext(model, { probe, rowCountMax: rows.length + 1 }))
  const selector = await Effect.runPromise(Effect.scoped(opened))
  const active = new NeuronSet(ffnWidth, rows.length + 1)
  selectStrangers(selector, 0, { rowCount: rows.length, width: 1, values: new Float32Array(rows.length) }, active)
  return rows.map((row, index) => row.map((_, neuron) => neuron).filter((neuron) => active.has(index, neuron)))
}

test("oracle_top_k names the largest by magnitude", async () => {
  expect(await select({ k: 2 }, [[1, -5, 2, 3, 0]])).toEqual([[1, 3]])
})

test("oracle_top_k gives ties to the lowest ids", async () => {
  expect(await select({ k: 3 }, [[2, -2, 5, 2, 2]])).toEqual([[0, 1, 2]])
})

test("oracle_top_k never names a zero", async () => {
  expect(
    await select({ k: 4 }, [
      [0, 1, -0, 0, 7],
      [0, 0, 0, 0, 0]
    ])
  ).toEqual([[1, 4], []])
})

test("oracle_top_k rounds a share up, and k down to what there is", async () => {
  const row = [1, 2, 3, 4, 5]
  expect(await select({ share: 0.21 }, [row])).toEqual([[3, 4]])
  expect(await select({}, [row])).toEqual([[4]])
  expect(await select({ k: 9 }, [row])).toEqual([[0, 1, 2, 3, 4]])
})

for (let seed = 1; seed <= 30; seed++) {
  test(`oracle_top_k equals sorting by magnitude, then id (seed ${seed})`, async () => {
    const random = randomFromSeed(seed)
    const ffnWidth = [1, 7, 31, 32, 33, 64, 65, 200][seed % 8]!
    // Few different values: many ties, many zeros.
    const row = () => Array.from({ length: ffnWidth }, () => (random.nextU32() % 9) - 4)
    const rows = [row(), row(), row()]
    const k = 1 + (random.nextU32() % ffnWidth)
    const expected = rows.map((values) =>
      values
        .map((value, neuron) => ({ magnitude: Math.abs(value), neuron }))
        .filter(({ magnitude }) => magnitude > 0)
        .toSorted((a, b) => b.magnitude - a.magnitude || a.neuron - b.neuron)
        .slice(0, k)
        .map(({ neuron }) => neuron)
        .toSorted((a, b) => a - b)
    )
    expect(await select({ k }, rows)).toEqual(expected)
  })
}
