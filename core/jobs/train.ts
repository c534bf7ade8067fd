// What does a predictor learn from a trace? The plugin does the learning; here is all that it may ask for, and what it must keep to.
import { existsSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { ArtifactUnreadable } from "../artifacts/artifact.ts"
import { openTrace } from "../artifacts/trace.ts"
import type { Model } from "../model/model.ts"
import type { PluginUse, PredictorPlugin } from "../plugin.ts"
import type { PluginListing } from "../plugin_host/discover.ts"
import { awaitAnswer, hearing } from "../plugin_host/guard.ts"
import { decodeOptions, importPlugin } from "../plugin_host/load_plugin.ts"
import { openNamedPredictor } from "../plugin_host/named_predictor.ts"
import { PluginFault, PluginUnavailable } from "../plugin_host/plugin_error.ts"
import type { ActivationProbe, PredictorFailure, TrainingContext, TrainingRows } from "../predictor.ts"
import { openCheckpoint } from "./checkpoint.ts"

/** What a predictor is trained on, and with. */
export interface TrainingJob {
  readonly model: Model
  /** Path of a trace of this model. */
  readonly trace: string
  readonly out: string
  readonly seed: number
  /** Predictors that the one to train may name. */
  readonly known: ReadonlyArray<PluginListing>
  /** What those are opened with; opened when the first one is. */
  readonly openProbe: Effect.Effect<ActivationProbe, PredictorFailure, Scope.Scope>
  readonly announce: (line: string) => void
}

/** Longer than training goes on without a word. */
const silenceMs = 3_600_000
/** Rows of one call of a predictor that another one names. */
const rowCountMax = 64

/**
 * Trains a predictor. What the plugin has finished when the process ends is kept in a folder `OUT.partial`; the same call goes on with it, and comes to the
 * same file.
 *
 * - returns  the options that open what was learned, as they are written
 * - fails    `PluginUnavailable` (no such plugin, wrong options, one that learns nothing), `PluginIncompatible`, `PluginFault`, what the plugin refuses with;
 *            `ArtifactUnreadable`, `StaleArtifact`, `GgufError` for the trace; `FileUnwritable`
 */
export const trainPredictor = Effect.fnUntraced(function* (use: PluginUse<"predictor">, job: TrainingJob) {
  const { model, seed, out, announce } = job
  const plugin: PredictorPlugin = yield* importPlugin("predictor", use.name, use.module)
  const { name, version } = plugin
  const call = { kind: "predictor", name, call: "train" } as const
  if (plugin.train === undefined) return yield* new PluginUnavailable({ ...call, reason: "it learns nothing" })
  const options: unknown = yield* decodeOptions(plugin, use.options)
  const trace = yield* openTrace(job.trace, model)
  const madeFor = { job: "train", name, version, options: use.options, seed, model: trace.model, trace: trace.sha256 }
  const checkpoint = yield* openCheckpoint(`${out}.partial`, madeFor, announce)
  if (checkpoint.goesOn) announce(`going on with what ${checkpoint.folder} has`)
  const probe = yield* Effect.cached(job.openProbe)

  let broken: ArtifactUnreadable | undefined
  const context: TrainingContext = {
    model,
    rows: (block) => noticing(trace.rows(block), (error) => (broken = error)),
    rowCount: trace.rowCount,
    seed,
    out,
    announce,
    openPredictor: (text) =>
      Effect.flatMap(probe, (probe) =>
        openNamedPredictor(job.known, () => ({ model, probe, rowCountMax, announce }))(text)
      ),
    checkpoint: { read: checkpoint.read, write: checkpoint.write }
  }
  const learned = yield* awaitAnswer(call, silenceMs, (hear) => plugin.train!(options, hearing(context, hear))).pipe(
    // The plugin only passes on what the trace has thrown.
    Effect.catchTag("PluginFault", (fault) => Effect.fail(broken ?? fault))
  )
  if (!existsSync(out)) return yield* new PluginFault({ ...call, reason: `it has not written ${out}` })
  const written = yield* Schema.encodeUnknownEffect(plugin.options)(learned).pipe(
    Effect.mapError(
      ({ message }) => new PluginFault({ ...call, reason: `it returned options that are none: ${message}` })
    )
  )
  yield* checkpoint.drop
  return written as Readonly<Record<string, unknown>>
}, Effect.scoped)

/** Rows whose error is told to `notice` too. */
const noticing = (
  rows: Iterable<TrainingRows>,
  notice: (error: ArtifactUnreadable) => void
): Iterable<TrainingRows> => ({
  *[Symbol.iterator]() {
    try {
      yield* rows
    } catch (error) {
      notice(error as ArtifactUnreadable)
      throw error
    }
  }
})
