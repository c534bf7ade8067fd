// How do several ways to run several models compare? Each is evaluated once, and kept; who is interrupted goes on where he was.
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import { identityOf, type ModelIdentity } from "../artifacts/artifact.ts"
import type { UsedPlugin } from "../artifacts/evaluation.ts"
import type { CacheType } from "../backend.ts"
import type { EngineError } from "../engine/engine_error.ts"
import type { TokenOutsideVocabulary } from "../engine/evaluate.ts"
import { openPlan, type PlanOptions } from "../engine/open_plan.ts"
import type { GgufError } from "../gguf/gguf_error.ts"
import type { Model } from "../model/model.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import { engineVersion } from "../plugin_host/engine_version.ts"
import type { PluginUse } from "../plugin.ts"
import { openTokenizer } from "../tokenizer/tokenizer.ts"
import { evaluate } from "./evaluate.ts"
import { cutWindows, type EvaluationWindow, type Protocol, textTokens, type TextTooShort } from "./evaluation_text.ts"
import type { PointRecord, Provenance, ResultsDatabase, ResultsUnusable } from "./results_database.ts"

/** A plugin, how reports name it, and what of it decides the figures. */
export interface ExperimentPlugin<Kind extends "predictor" | "placement" | "backend"> {
  readonly use: PluginUse<Kind>
  /** Name, version and all options, defaults too. */
  readonly used: UsedPlugin
  /** SHA-256 of the files that its options name, by the text that names them. */
  readonly files: Readonly<Record<string, string>>
}

/** A grid: every model, with every seed, placement and predictor. */
export interface Experiment {
  readonly models: ReadonlyArray<{ readonly file: string; readonly model: Model }>
  readonly texts: ReadonlyArray<{ readonly name: string; readonly sha256: string; readonly text: string }>
  readonly protocol: Protocol
  /** Absent: 512, or what the model was made for. */
  readonly windowLength?: number
  readonly windowCount?: number
  /** Each draws other windows; none: the windows that the text begins with. */
  readonly seeds: ReadonlyArray<number>
  /** The dense run that all others are compared with. */
  readonly dense: PluginUse<"predictor">
  readonly predictors: ReadonlyArray<ExperimentPlugin<"predictor">>
  readonly placements: ReadonlyArray<ExperimentPlugin<"placement">>
  readonly backends: ReadonlyArray<ExperimentPlugin<"backend">>
  readonly plan: Pick<PlanOptions, "known" | "rowCountMax" | "sparseRowCountMax">
  readonly cacheType: CacheType
  readonly promptCount: number
  readonly decodeWindows: number
}

/** A point that could not be run: its predictor does not fit the model, say. */
export interface RefusedPoint {
  readonly file: string
  readonly predictor: UsedPlugin
  readonly reason: string
}

export interface ExperimentRun {
  /** In the order of the grid. */
  readonly records: ReadonlyArray<PointRecord>
  readonly refused: ReadonlyArray<RefusedPoint>
}

export interface CompareOptions {
  readonly results: ResultsDatabase
  /** Of points that are run now; asked for when the first one is. */
  readonly provenance: Effect.Effect<Omit<Provenance, "date" | "seconds">>
  readonly announce: (line: string) => void
  /** A point is there: `kept` if it had been run before. */
  readonly onPoint?: (point: {
    readonly index: number
    readonly of: number
    readonly kept: boolean
    readonly record: PointRecord
  }) => void
}

type CompareError = EngineError | GgufError | TextTooShort | TokenOutsideVocabulary | ResultsUnusable

/** What is the same for all points of a model, a seed and a placement. */
interface PointGroup {
  readonly file: string
  readonly model: Model
  readonly identity: ModelIdentity
  readonly seed: number | undefined
  readonly placement: ExperimentPlugin<"placement">
  readonly windows: ReadonlyArray<EvaluationWindow>
  readonly windowLength: number
}

/**
 * Runs every point of the grid that is not among the results, and keeps it.
 *
 * - returns  all points, old and new; a predictor that refuses a model is no failure
 * - fails    as opening models and plans and evaluating them does
 */
export const compare = Effect.fnUntraced(function* (
  experiment: Experiment,
  options: CompareOptions
): Effect.fn.Return<ExperimentRun, CompareError> {
  const groups = yield* groupsOf(experiment)
  const of = groups.length * experiment.predictors.length
  const provenance = yield* Effect.cached(options.provenance)
  const records: Array<PointRecord> = []
  const refused: Array<RefusedPoint> = []
  for (const group of groups) {
    const points = experiment.predictors.map((predictor) => ({ predictor, ...keysOf(experiment, group, predictor) }))
    const found = yield* Effect.forEach(points, ({ key }) => options.results.find(key))
    const missing = points.filter((_, index) => found[index] === undefined)
    const tell = (record: PointRecord, kept: boolean) => {
      records.push(record)
      options.onPoint?.({ index: records.length + refused.length, of, kept, record })
    }
    for (const record of found) if (record) tell(record, true)
    if (missing.length === 0) continue
    // The dense run is opened once for all points of a group.
    yield* Effect.scoped(
      Effect.gen(function* () {
        const runPoint = yield* openGroup(experiment, group, options)
        for (const { predictor, ...keys } of missing) {
          const done = yield* runPoint(predictor, keys, provenance)
          if ("reason" in done) refused.push(done)
          else {
            yield* options.results.keep(done)
            tell(done, false)
          }
        }
      })
    )
  }
  const order = new Map<string, number>()
  for (const group of groups) {
    for (const predictor of experiment.predictors) order.set(keysOf(experiment, group, predictor).key, order.size)
  }
  return { records: records.sort((a, b) => order.get(a.key)! - order.get(b.key)!), refused }
})

/** The points of the grid that are among the results; nothing is run. */
export const keptRecords = Effect.fnUntraced(function* (experiment: Experiment, results: ResultsDatabase) {
  const groups = yield* groupsOf(experiment)
  const keys = groups.flatMap((group) =>
    experiment.predictors.map((predictor) => keysOf(experiment, group, predictor).key)
  )
  const found = yield* Effect.forEach(keys, (key) => results.find(key))
  return found.filter((record) => record !== undefined)
})

const defaultWindowLength = 512

const groupsOf = Effect.fnUntraced(function* (experiment: Experiment) {
  const { texts, protocol, windowCount, seeds, placements } = experiment
  const groups: Array<PointGroup> = []
  for (const { file, model } of experiment.models) {
    const tokenizer = yield* openTokenizer(model.gguf.metadata)
    const tokens = texts.flatMap(({ text }) => textTokens(tokenizer, text))
    const identity = yield* identityOf(model)
    const windowLength = experiment.windowLength ?? Math.min(defaultWindowLength, model.shape.contextLength)
    for (const seed of seeds.length > 0 ? seeds : [undefined]) {
      const windows = yield* cutWindows(tokens, tokenizer, {
        protocol,
        windowLength,
        ...(windowCount !== undefined && { windowCount }),
        ...(seed !== undefined && { windowSeed: seed })
      })
      for (const placement of placements) {
        groups.push({ file, model, identity, seed, placement, windows, windowLength })
      }
    }
  }
  return groups
})

const openGroup = Effect.fnUntraced(function* (experiment: Experiment, group: PointGroup, options: CompareOptions) {
  const { model, windows, placement, seed } = group
  const open = (predictor: PluginUse<"predictor">) =>
    openPlan(
      model,
      {
        ...experiment.plan,
        backends: experiment.backends.map(({ use }) => use),
        placement: placement.use,
        predictor
      },
      options.announce
    )
  const dense = yield* open(experiment.dense)
  const { tokenBytes, ffnBytes } = sparsityFacts(model)

  return Effect.fnUntraced(function* (
    predictor: ExperimentPlugin<"predictor">,
    keys: { readonly key: string; readonly variant: string },
    provenance: CompareOptions["provenance"]
  ): Effect.fn.Return<PointRecord | RefusedPoint, CompareError> {
    const begin = performance.now()
    const measured = Effect.gen(function* () {
      const asked = yield* open(predictor.use)
      return yield* evaluate(dense, asked, {
        windows,
        cacheType: experiment.cacheType,
        seed: seed ?? 1,
        promptCount: experiment.promptCount,
        decodeWindows: experiment.decodeWindows
      })
    })
    const refusal = ({ message }: { readonly message: string }) =>
      Effect.succeed({ file: group.file, predictor: predictor.used, reason: message })
    const figures = yield* Effect.scoped(measured).pipe(
      Effect.catchTags({ PredictorMismatch: refusal, PredictorFailure: refusal })
    )
    if ("reason" in figures) return figures
    const record: PointRecord = {
      ...keys,
      model: group.identity,
      file: group.file,
      predictor: predictor.used,
      placement: placement.used,
      backends: experiment.backends.map(({ used }) => used),
      windows: windows.length,
      windowLength: group.windowLength,
      ...(seed !== undefined && { windowSeed: seed }),
      tokenBytes,
      ffnBytes,
      figures,
      provenance: {
        ...(yield* provenance),
        date: new Date().toISOString(),
        seconds: (performance.now() - begin) / 1000
      }
    }
    return record
  })
})

/** SHA-256 of everything that determines the figures of a point; `variant`: of everything but the seed. */
const keysOf = (
  experiment: Experiment,
  { identity, seed, placement, windowLength }: PointGroup,
  predictor: ExperimentPlugin<"predictor">
) => {
  const pluginOf = ({ used, files }: ExperimentPlugin<"predictor" | "placement" | "backend">) => {
    let options = canonicalJson(used.options)
    // A file is what it holds, not where it lies.
    for (const [path, sha256] of Object.entries(files))
      options = options.replaceAll(JSON.stringify(path).slice(1, -1), sha256)
    return { name: used.name, version: used.version, options, files: Object.values(files) }
  }
  const whole = {
    engine: engineVersion,
    model: identity.fingerprint,
    predictor: pluginOf(predictor),
    placement: pluginOf(placement),
    backends: experiment.backends.map(pluginOf),
    texts: experiment.texts.map(({ sha256 }) => sha256),
    protocol: experiment.protocol,
    windowLength,
    windowCount: experiment.windowCount ?? "all",
    cacheType: experiment.cacheType,
    rowCountMax: experiment.plan.rowCountMax,
    sparseRowCountMax: experiment.plan.sparseRowCountMax,
    promptCount: experiment.promptCount,
    decodeWindows: experiment.decodeWindows
  }
  const hash = (value: unknown) => createHash("sha256").update(canonicalJson(value)).digest("hex")
  return { key: hash({ ...whole, seed: seed ?? "first windows" }), variant: hash(whole) }
}

/** Keys in order, whatever order they were given in. */
const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner
  )
