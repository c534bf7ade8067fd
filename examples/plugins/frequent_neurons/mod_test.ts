// Goal: frequent_neurons keeps the contract of predictors untrained and trained, proposes what it counted, and refuses what was counted elsewhere.
// Method: trained on made-up rows of tiny models, where the answer is known.
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Model, NeuronSet, type TrainingRows } from "@powerinfer/core"
import {
  openTinyModel,
  predictorContext,
  predictorContract,
  selectStrangers,
  type TinyModel
} from "@powerinfer/core/testing"
import { Effect } from "effect"
import { mostFrequent } from "./frequency.ts"
import plugin from "./mod.ts"

const folder = mkdtempSync(join(tmpdir(), "frequent-neurons-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const tiny: TinyModel = { family: "llama", seed: 1, activation: "relu", shape: { ffnWidth: 75 } }

/** Two batches of two rows: neuron n fires in row r where n % (r + 2) is 0. */
const rowsOf = ({ shape: { hiddenWidth, ffnWidth } }: Model): ReadonlyArray<TrainingRows> =>
  [0, 1].map((batch) => ({
    rowCount: 2,
    hidden: new Float32Array(2 * hiddenWidth),
    activations: Float32Array.from({ length: 2 * ffnWidth }, (_, i) => {
      const row = batch * 2 + Math.floor(i / ffnWidth)
      return (i % ffnWidth) % (row + 2) === 0 ? 1 : 0
    })
  }))

const train = Effect.fnUntraced(function* (model: Model, out: string) {
  return yield* plugin.train!({}, { ...predictorContext(model), rows: () => rowsOf(model), rowCount: 4, seed: 1, out })
})
const open = (model: Model, options: Parameters<typeof plugin.open>[0]) => plugin.open(options, predictorContext(model))
const run = <A>(effect: Effect.Effect<A, unknown, never>) => Effect.runPromise(effect)

const trained = join(folder, "trained.json")
await run(Effect.scoped(Effect.flatMap(openTinyModel(tiny), (model) => train(model, trained))))

predictorContract({ test, plugin })
predictorContract({
  test,
  plugin,
  options: { file: trained, share: 0.4 },
  models: [["trained", openTinyModel(tiny)]]
})

test("frequent_neurons proposes the neurons that fired most often, to every row", () =>
  Effect.gen(function* () {
    const model = yield* openTinyModel(tiny)
    const selector = yield* open(model, { file: trained, share: 2 / 75 })
    const active = new NeuronSet(75, 2)
    selectStrangers(selector, 1, { rowCount: 2, width: 64, values: new Float32Array(128) }, active)
    // Divisible by 2, 3, 4 and 5: 0 and 60.
    for (const row of [0, 1])
      expect([active.has(row, 0), active.has(row, 60), active.count(row)]).toEqual([true, true, 2])
  }).pipe(Effect.scoped, run))

test("mostFrequent() takes the lowest of equals", () => {
  expect(mostFrequent(Uint32Array.of(1, 3, 3, 3, 2), 2)).toEqual(Uint32Array.of(0b00110))
})

test("training twice gives the same bytes", () =>
  Effect.gen(function* () {
    const again = join(folder, "again.json")
    yield* train(yield* openTinyModel(tiny), again)
    expect(readFileSync(again, "utf8")).toBe(readFileSync(trained, "utf8"))
  }).pipe(Effect.scoped, run))

test("frequent_neurons refuses counts of another model", () =>
  Effect.gen(function* () {
    const other = yield* openTinyModel({ ...tiny, seed: 2 })
    const error = yield* Effect.flip(open(other, { file: trained }))
    expect(error._tag).toBe("PredictorMismatch")
    expect(error.message).toContain("train again")
  }).pipe(Effect.scoped, run))

for (const [what, text] of [
  ["a file that is no JSON", "not json"],
  ["counts that are no numbers", '{"predictor":"frequent_neurons","fingerprint":"x","counts":[["a"]]}']
] as const) {
  test(`frequent_neurons refuses ${what}`, () =>
    Effect.gen(function* () {
      const path = join(folder, "damaged.json")
      writeFileSync(path, text)
      const error = yield* Effect.flip(open(yield* openTinyModel(tiny), { file: path }))
      expect(error._tag).toBe("PredictorFailure")
      expect(error.message).toContain("is no artifact of it")
    }).pipe(Effect.scoped, run))
}
