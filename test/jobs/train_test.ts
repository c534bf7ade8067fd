// Goal: training sees the rows of the trace, goes on with finished pieces of the same inputs only, and what goes wrong has a name.
// Method: a plugin that learns a number a block and can be made to fail, on a trace that is written by hand.
import { afterAll, beforeEach, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  identityOf,
  openTraceWriter,
  type PluginUse,
  PredictorFailure,
  trainPredictor,
  type TrainingJob,
  usePlugin
} from "@powerinfer/core"
import { openTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import every from "../support/plugins/every.ts"
import lastSeen, { trainingPlan } from "../support/plugins/last_seen.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-train-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const out = join(folder, "learned.txt")
const trace = join(folder, "t.arrow")
const shape = { blockCount: 2, hiddenWidth: 64, ffnWidth: 40 }
const lines: Array<string> = []

/** Row r of every block: neuron r fires with 1. */
const writeTrace = Effect.fnUntraced(function* (path: string, rowCount: number) {
  const model = yield* openTinyModel({ family: "llama", seed: 1, shape })
  const subject = { model: yield* identityOf(model), ...shape, threshold: 0, corpora: [] }
  const writer = yield* openTraceWriter(path, subject)
  const active = Uint32Array.from({ length: 2 * rowCount }, (_, word) => (word % 2 === 0 ? 1 << (word / 2) : 0))
  const activations = Float32Array.from({ length: rowCount * 40 }, (_, at) => (at % 41 === 0 ? 1 : 0))
  const ids = new Uint32Array(rowCount)
  const rows = {
    rowCount,
    windows: ids,
    tokens: ids,
    positions: ids,
    hidden: new Float32Array(rowCount * 64),
    active,
    activations
  }
  for (const block of [0, 1]) writer.append(block, rows)
  writer.end()
}, Effect.scoped)

const train = (use: PluginUse<"predictor">, job: Partial<TrainingJob> = {}) =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1, shape })
    const openProbe = Effect.fail(new PredictorFailure({ predictor: "last_seen", reason: "there is no device" }))
    const announce = (line: string) => void lines.push(line)
    return yield* trainPredictor(use, { model, trace, out, seed: 7, known: [], openProbe, announce, ...job })
  }).pipe(Effect.scoped, Effect.result, Effect.runPromise)

const messageOf = async (training: ReturnType<typeof train>): Promise<string> => {
  const result = await training
  return result._tag === "Failure" ? `${result.failure._tag} ${result.failure.message}` : "it went well"
}

await Effect.runPromise(writeTrace(trace, 5))
beforeEach(() => {
  Object.assign(trainingPlan, { failsAfterPiece: false, writes: true, passes: 0 })
  lines.length = 0
  for (const path of [out, `${out}.partial`]) rmSync(path, { recursive: true, force: true })
})

test("trainPredictor() hands over the rows of the trace, and returns the options that open what was learned", async () => {
  const result = await train(usePlugin(lastSeen, { scale: 2 }))
  expect(result._tag === "Success" && result.success).toEqual({ scale: 2, file: out })
  expect(readFileSync(out, "utf8")).toBe("7 5 10\n7 5 10")
  expect(existsSync(`${out}.partial`)).toBe(false)
})

test("trainPredictor() goes on with pieces of the same inputs, and comes to the same file", async () => {
  trainingPlan.failsAfterPiece = true
  expect(await messageOf(train(usePlugin(lastSeen)))).toMatch(
    /^PluginFault .*last_seen failed in train: the lights went out/
  )
  trainingPlan.failsAfterPiece = false
  expect(await messageOf(train(usePlugin(lastSeen)))).toBe("it went well")
  expect([trainingPlan.passes, lines]).toEqual([2, [`going on with what ${out}.partial has`]])
  expect(readFileSync(out, "utf8")).toBe("7 5 5\n7 5 5")
})

for (const [what, use, job] of [
  ["options", usePlugin(lastSeen, { scale: 3 }), {}],
  ["seed", usePlugin(lastSeen), { seed: 8 }],
  ["trace", usePlugin(lastSeen), { trace: join(folder, "longer.arrow") }]
] as const) {
  test(`trainPredictor() drops the pieces of another ${what}`, async () => {
    await Effect.runPromise(writeTrace(join(folder, "longer.arrow"), 6))
    trainingPlan.failsAfterPiece = true
    await train(usePlugin(lastSeen))
    trainingPlan.failsAfterPiece = false
    expect(await messageOf(train(use, job))).toBe("it went well")
    expect([trainingPlan.passes, lines]).toEqual([
      3,
      [`${out}.partial was left by a run of other inputs: starting over`]
    ])
  })
}

test("trainPredictor() names what went wrong", async () => {
  expect(await messageOf(train(usePlugin(every)))).toBe(
    "PluginUnavailable Cannot load the predictor every: it learns nothing"
  )
  trainingPlan.writes = false
  expect(await messageOf(train(usePlugin(lastSeen)))).toMatch(/^PluginFault .* it has not written .*learned\.txt/)
  const damaged = readFileSync(trace)
  // Among the first bitsets, whose count then differs from that of the activations.
  const at = damaged.indexOf(Buffer.from(Uint32Array.of(1, 0, 2, 0, 4, 0, 8, 0, 16, 0).buffer))
  damaged[at] = 3
  writeFileSync(join(folder, "damaged.arrow"), damaged)
  expect(await messageOf(train(usePlugin(lastSeen), { trace: join(folder, "damaged.arrow") }))).toMatch(
    /^ArtifactUnreadable .*damaged\.arrow: it is damaged: record batch 0 has more or fewer activations than neurons/
  )
})
