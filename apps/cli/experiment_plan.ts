// What does an experiment run? The file with its bounds added, everything found, read and checked.
import { existsSync } from "node:fs"
import { relative } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  type Experiment,
  type ExperimentPlugin,
  FileNotFound,
  openModel,
  type UsedPlugin,
  withDefaults
} from "powerinfer"
import { readCorpus } from "./corpus_text.ts"
import type { ExperimentFile, PluginGrid } from "./experiment_file.ts"
import { describePlugin, expandPlugins } from "./experiment_plugins.ts"
import { findPlugin } from "./find_plugin.ts"
import { InvalidUsage } from "./invalid_usage.ts"
import { knownPlugins } from "./plugins.ts"

/** Computes every neuron, computes all that fire, and looks at what others guess. */
const denseName = "every_neuron"
const exactName = "exact_gate"
const oracleName = "oracle_top_k"

/** A bound, and no way to run a model. */
export const isOracle = ({ name }: UsedPlugin): boolean => name === oracleName

/**
 * Resolves the file.
 *
 * - returns  the experiment, and the threads that its bandwidth is measured with
 * - fails    with what is wrong first: missing files, unknown plugins, wrong options, damaged models
 */
export const resolveExperiment = Effect.fnUntraced(function* (file: ExperimentFile) {
  if (file.texts.length === 0 && file.replay === undefined) {
    return yield* new InvalidUsage({ reason: `${file.path}: texts: it is missing; write texts = ["FILE"]` })
  }
  for (const path of [...file.models, ...file.texts]) if (!existsSync(path)) return yield* new FileNotFound({ path })
  const models = yield* Effect.forEach(file.models, (path) =>
    Effect.map(openModel(path), (model) => ({ file: relative(process.cwd(), path), model }))
  )
  const texts = yield* readCorpus(file.texts)
  const expandAll = <Kind extends "predictor" | "placement" | "backend">(
    kind: Kind,
    grids: ReadonlyArray<PluginGrid>
  ) =>
    Effect.map(
      Effect.forEach(grids, (grid) => expandPlugins(kind, grid, file.folder)),
      (expanded) => expanded.flat()
    )
  const predictors = yield* expandAll("predictor", file.predictors)
  const bounds = yield* boundsOf(file)
  const backends = yield* expandAll("backend", file.backends)
  const placements = yield* expandAll("placement", file.placements)
  const dense = yield* findPlugin("predictor", denseName)
  const defaults = yield* withDefaults({ model: file.models[0]!, predictor: dense })
  const experiment: Experiment = {
    models,
    texts,
    protocol: file.protocol,
    ...(file.windowLength !== undefined && { windowLength: file.windowLength }),
    ...(file.windows !== undefined && { windowCount: file.windows }),
    seeds: file.seeds,
    dense,
    predictors: distinct([...bounds, ...predictors]),
    placements: placements.length > 0 ? placements : [yield* describePlugin(defaults.placement)],
    backends: backends.length > 0 ? backends : yield* Effect.forEach(defaults.backends, (use) => describePlugin(use)),
    plan: {
      known: yield* knownPlugins,
      rowCountMax: file.batch ?? defaults.rowCountMax,
      sparseRowCountMax: defaults.sparseRowCountMax
    },
    cacheType: file.cacheType,
    promptCount: file.prompts,
    decodeWindows: file.decodeWindows
  }
  const threads = experiment.backends
    .map(({ used }) => used.options["threads"])
    .find((value) => typeof value === "number")
  return { experiment, threads: threads ?? 0 }
})

/** What every result stands beside. A plugin that has been taken away leaves its bound out. */
const boundsOf = Effect.fnUntraced(function* (file: ExperimentFile) {
  const named = [
    { use: denseName, options: {} },
    { use: exactName, options: {} },
    ...(file.oracleShares.length > 0 ? [{ use: oracleName, options: { share: file.oracleShares } }] : [])
  ]
  const found = yield* Effect.forEach(named, (bound) =>
    Effect.result(expandPlugins("predictor", { ...bound, place: "the bounds" }, file.folder))
  )
  return found.flatMap((one) => (Result.isSuccess(one) ? one.success : []))
})

/** The first of each, where a file names a bound too. */
const distinct = (
  plugins: ReadonlyArray<ExperimentPlugin<"predictor">>
): ReadonlyArray<ExperimentPlugin<"predictor">> => [
  ...new Map(plugins.map((plugin) => [JSON.stringify([plugin.use.module, plugin.used]), plugin])).values()
]
