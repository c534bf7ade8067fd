// Goal: an experiment that was interrupted goes on and ends as one that was not; a point is run again only when something that decides it has changed.
// Method: a grid on tiny models with the reference backend; interrupted after a point, then run again on the same database.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  compare,
  type CompareOptions,
  type Experiment,
  type ExperimentPlugin,
  type ExperimentRun,
  openModel,
  openResults,
  type PluginKind,
  type PluginUse,
  type PointRecord,
  summarize,
  usePlugin
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect, Fiber } from "effect"
import { everyNeuron, exactGate, planOptions, reference } from "../support/plans.ts"
import partOfFired from "../support/plugins/part_of_fired.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-compare-"))
const paths = [join(folder, "one.gguf"), join(folder, "other.gguf")]

const named = <Kind extends PluginKind>(use: PluginUse<Kind>, files = {}): ExperimentPlugin<Kind> => ({
  use,
  used: { name: use.name, version: "0.1.0", options: use.options },
  files
})
const half = named(usePlugin(partOfFired, { step: 2 }))

let experiment: Experiment
beforeAll(async () => {
  const models = []
  for (const [index, file] of paths.entries()) {
    await Effect.runPromise(writeTinyModel(file, { family: "llama", seed: index + 1, activation: "relu" }))
    models.push({ file, model: await Effect.runPromise(openModel(file)) })
  }
  experiment = {
    models,
    texts: [{ name: "a.txt", sha256: "aa", text: "And the man said to the woman that he is in the house. ".repeat(8) }],
    protocol: "llama.cpp",
    windowLength: 20,
    windowCount: 3,
    seeds: [1],
    dense: everyNeuron,
    predictors: [named(everyNeuron), named(exactGate), half],
    placements: [named(planOptions().placement)],
    backends: [named(reference)],
    plan: { rowCountMax: 8, sparseRowCountMax: 4 },
    cacheType: "f32",
    promptCount: 0,
    decodeWindows: 1
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const machine = { cpu: "a machine", isas: [], cores: 1, memoryBytes: 1e9, bandwidthBytesPerSecond: 1e9 }
const provenance = Effect.succeed({ command: ["compare"], machine, versions: { powerinfer: "0.1.0" } })

const runOn = (database: string, options: Partial<CompareOptions> & { readonly experiment?: Experiment } = {}) =>
  Effect.gen(function* () {
    const results = yield* openResults(join(folder, database))
    return yield* compare(options.experiment ?? experiment, { results, provenance, announce: () => {}, ...options })
  }).pipe(Effect.scoped)

/** What does not depend on the clock. */
const fidelityOf = ({ records }: ExperimentRun) =>
  records.map(({ figures: { decode, ...figures }, ...record }) => ({
    ...record,
    provenance: undefined,
    figures,
    bytes: [decode!.asked.weightBytes, decode!.dense.weightBytes, decode!.asked.cacheBytes]
  }))

describe("compare()", () => {
  test("interrupted after two points, goes on, and ends as an undisturbed run does", async () => {
    const whole = await Effect.runPromise(runOn("whole.sqlite"))
    expect(whole.records).toHaveLength(2 * 3)

    let seen = 0
    const interrupted = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        runOn("resumed.sqlite", { onPoint: () => void (++seen === 2 && fiber.interruptUnsafe()) })
      )
      return yield* Fiber.await(fiber)
    })
    const exit = await Effect.runPromise(interrupted)
    expect(exit._tag).toBe("Failure")
    expect(seen).toBe(2)

    const points: Array<boolean> = []
    const resumed = await Effect.runPromise(runOn("resumed.sqlite", { onPoint: ({ kept }) => void points.push(kept) }))
    expect(points.filter(Boolean)).toHaveLength(2)
    expect(points).toHaveLength(6)
    expect(fidelityOf(resumed)).toEqual(fidelityOf(whole))

    const again: Array<boolean> = []
    const kept = await Effect.runPromise(runOn("resumed.sqlite", { onPoint: (point) => void again.push(point.kept) }))
    expect(again.every(Boolean)).toBe(true)
    // Speeds too: they were measured once.
    expect(kept).toEqual(resumed)
  }, 30_000)

  test("runs a point again when a file that its options name has other bytes, wherever it lies", async () => {
    const ran = async (path: string, sha256: string) => {
      const predictor = named(usePlugin(partOfFired, { step: 2 }), { [path]: sha256 })
      const own = { ...predictor, used: { ...predictor.used, options: { step: 2, file: path } } }
      let fresh = 0
      await Effect.runPromise(
        runOn("files.sqlite", {
          experiment: { ...experiment, models: experiment.models.slice(0, 1), seeds: [], predictors: [own] },
          onPoint: ({ kept }) => void (fresh += Number(!kept))
        })
      )
      return fresh
    }
    expect(await ran("/here/a.gguf", "11")).toBe(1)
    expect(await ran("/there/b.gguf", "11")).toBe(0)
    expect(await ran("/here/a.gguf", "22")).toBe(1)
  })

  test("reports a predictor that refuses a model, and runs the others", async () => {
    const run = await Effect.runPromise(
      runOn("refused.sqlite", {
        experiment: {
          ...experiment,
          seeds: [],
          predictors: [named(usePlugin(partOfFired, { step: 1, refuses: true })), half]
        }
      })
    )
    expect(run.records.map(({ predictor }) => predictor.name)).toEqual(["part_of_fired", "part_of_fired"])
    expect(run.refused).toHaveLength(2)
    expect(run.refused[0]!.reason).toContain("Cannot open the predictor")
  })

  test("takes no results of another format, and none that are no database", async () => {
    writeFileSync(join(folder, "text.sqlite"), "this is no database, whatever its name says")
    const error = await Effect.runPromise(Effect.flip(runOn("text.sqlite")))
    expect(error).toMatchObject({ _tag: "ResultsUnusable", path: join(folder, "text.sqlite") })
  })
})

describe("summarize()", () => {
  /** Points of one model that differ in what matters to bounds and fronts. */
  const point = (name: string, loss: number, bytes: number, rate: number, activeShare = 0.1): PointRecord => ({
    ...template,
    key: name,
    variant: name,
    predictor: { name: name.split(" ")[0]!, version: "1", options: {} },
    figures: {
      ...template.figures,
      fidelity: loss === 0 ? "exact" : "good",
      divergence: { ...template.figures.divergence, mean: { value: loss, low: loss / 2, high: loss * 2 } },
      decode: {
        ...template.figures.decode!,
        asked: {
          ...decodeFigures,
          weightBytes: bytes,
          activeShare,
          tokensPerSecond: { median: rate, min: rate, max: rate }
        }
      }
    }
  })
  const decodeFigures = {
    tokensPerSecond: { median: 10, min: 9, max: 11 },
    weightBytes: 1000,
    predictorBytes: 0,
    cacheBytes: 0,
    activeShare: 1
  }
  const one = { value: 1, low: 1, high: 1 }
  const template: PointRecord = {
    key: "",
    variant: "",
    model: { name: "tiny", fingerprint: "0".repeat(64) },
    file: "tiny.gguf",
    predictor: { name: "", version: "1", options: {} },
    placement: { name: "p", version: "1", options: {} },
    backends: [],
    windows: 1,
    windowLength: 8,
    tokenBytes: 1000,
    ffnBytes: 600,
    figures: {
      fidelity: "good",
      scoredTokens: 4,
      perplexity: { dense: one, asked: one },
      deltaLogPerplexity: { value: 0, low: 0, high: 0 },
      divergence: { mean: one, median: 1, p99: 1, max: 1 },
      topAgreement: one,
      decode: { dense: decodeFigures, asked: decodeFigures }
    },
    provenance: {
      command: [],
      machine: { cpu: "m", isas: [], cores: 1, memoryBytes: 1, bandwidthBytesPerSecond: 20_000 },
      versions: {},
      date: "2026-01-01",
      seconds: 1
    }
  }
  const records = [
    point("dense", 0, 1000, 10, 1),
    point("oracle 0.05", 0.04, 1500, 1, 0.05),
    point("oracle 0.2", 0.0001, 1600, 1, 0.2),
    point("exact", 0, 700, 12),
    point("cheap", 0.01, 500, 20, 0.1),
    point("worse", 0.02, 600, 15, 0.3)
  ]
  const [model] = summarize(records, ({ name }) => name === "oracle")
  const variant = (name: string) => model!.variants.find((each) => each.variant === name)!

  test("marks what no other way beats, without oracles", () => {
    expect(model!.variants.filter(({ onBytesFront }) => onBytesFront).map(({ variant: name }) => name)).toEqual([
      "exact",
      "cheap"
    ])
    expect(model!.variants.filter(({ onSpeedFront }) => onSpeedFront).map(({ variant: name }) => name)).toEqual([
      "exact",
      "cheap"
    ])
  })

  test("puts the bounds beside each way", () => {
    // A third of the way from 0.05 to 0.2, on a line of logarithms.
    expect(variant("cheap").oracleDivergence).toBeCloseTo(0.04 ** (2 / 3) * 0.0001 ** (1 / 3), 12)
    expect(variant("worse").oracleDivergence).toBeUndefined()
    expect(variant("cheap").decode!.rooflineTokensPerSecond).toBe(40)
    // What an oracle reads to look is not counted: 1000 − 600 · 0.95.
    expect(variant("oracle 0.05").decode!.bytesPerToken).toBeCloseTo(430, 9)
    expect(model!.dense).toEqual({ tokensPerSecond: 10, bytesPerToken: 1000, bandwidthShare: 0.5 })
  })

  test("joins the points of several seeds to one way", () => {
    const seeds = [0.01, 0.03].map((loss, seed) => ({ ...point("way", loss, 500, 10), key: `${seed}` }))
    const [joined] = summarize(seeds, () => false)
    expect(joined!.variants).toHaveLength(1)
    expect(joined!.variants[0]!.divergence).toEqual({ value: 0.02, low: 0.005, high: 0.06 })
  })
})
