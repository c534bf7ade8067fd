// What does a trace say about the predictors of an experiment, and how well did it say so where they have been run?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  type Experiment,
  FileNotFound,
  keptRecords,
  measureBandwidth,
  openTrace,
  type PointRecord,
  replay,
  type ReplayFigures,
  type ResultsDatabase,
  type UsedPlugin
} from "powerinfer"
import { existsSync } from "node:fs"
import { bytesPerToken } from "./evaluation_report.ts"
import { isOracle } from "./experiment_plan.ts"

/** A predictor on a model: what the trace says, and what was measured. */
export interface ReplayedWay {
  readonly file: string
  readonly predictor: UsedPlugin
  readonly figures: ReplayFigures
  /** Absent for what looks at the truth, and where no bandwidth is known. */
  readonly tokensPerSecond: number | undefined
  /** Real runs: the means of their figures. */
  readonly measured:
    | {
        readonly recall: number | undefined
        readonly precision: number | undefined
        readonly bytesPerToken: number | undefined
        readonly tokensPerSecond: number | undefined
      }
    | undefined
}

export interface ReplayedExperiment {
  readonly ways: ReadonlyArray<ReplayedWay>
  readonly refused: ReadonlyArray<{ readonly predictor: UsedPlugin; readonly reason: string }>
  /** Rates come from what dense runs among the results reached; else from the bandwidth of this machine. */
  readonly calibrated: boolean
}

interface ReplayInput {
  readonly experiment: Experiment
  readonly threads: number
  readonly trace: string
  readonly results: ResultsDatabase
  readonly announce: (line: string) => void
}

/**
 * Replays every predictor on the model that the trace is of.
 *
 * - fails  with `FileNotFound`, `ArtifactUnreadable`; with `StaleArtifact` if it is of none of the experiment's models
 */
export const replayExperiment = Effect.fnUntraced(function* (input: ReplayInput) {
  const { experiment, results, announce } = input
  if (!existsSync(input.trace)) return yield* new FileNotFound({ path: input.trace })
  const opened = yield* Effect.forEach(experiment.models, ({ file, model }) =>
    Effect.result(Effect.map(openTrace(input.trace, model), (trace) => ({ file, model, trace })))
  )
  const found = opened.find(Result.isSuccess)?.success
  if (found === undefined) return yield* opened.find(Result.isFailure)!.failure
  const { file, model, trace } = found
  // Without a text nothing can have been run.
  const kept = experiment.texts.length > 0 ? yield* keptRecords(experiment, results) : []
  const records = kept.filter((record) => record.model.fingerprint === trace.model.fingerprint)
  const reached = mean(
    records.flatMap(({ figures: { decode } }) =>
      decode ? [decode.dense.tokensPerSecond.median * bytesPerToken(decode.dense)] : []
    )
  )
  const measuring = Effect.orElseSucceed(measureBandwidth({ threads: input.threads }), () => undefined)
  const bandwidth = reached ?? (yield* measuring)
  const ways: Array<ReplayedWay> = []
  const refused: Array<ReplayedExperiment["refused"][number]> = []
  for (const { use, used } of experiment.predictors) {
    const options = { plan: experiment.plan, cacheType: experiment.cacheType, seed: 1, announce }
    const replayed = yield* Effect.result(Effect.scoped(replay(trace, model, use, options)))
    if (Result.isFailure(replayed)) {
      refused.push({ predictor: used, reason: replayed.failure.message })
      continue
    }
    const figures = replayed.success
    const rate = bandwidth === undefined ? undefined : bandwidth / (figures.weightBytes + figures.cacheBytes)
    ways.push({
      file,
      predictor: used,
      figures,
      tokensPerSecond: isOracle(used) ? undefined : rate,
      measured: measuredOf(records.filter((record) => JSON.stringify(record.predictor) === JSON.stringify(used)))
    })
    // Lets an interruption in.
    yield* Effect.yieldNow
  }
  const replayed: ReplayedExperiment = { ways, refused, calibrated: reached !== undefined }
  return replayed
})

const measuredOf = (records: ReadonlyArray<PointRecord>): ReplayedWay["measured"] => {
  if (records.length === 0) return undefined
  const selections = records.flatMap(({ figures }) => figures.selection ?? [])
  const decodes = isOracle(records[0]!.predictor) ? [] : records.flatMap(({ figures }) => figures.decode?.asked ?? [])
  return {
    recall: mean(selections.flatMap(({ recall }) => recall?.value ?? [])),
    precision: mean(selections.flatMap(({ precision }) => precision?.value ?? [])),
    bytesPerToken: mean(decodes.map(bytesPerToken)),
    tokensPerSecond: mean(decodes.map(({ tokensPerSecond }) => tokensPerSecond.median))
  }
}

const mean = (values: ReadonlyArray<number>): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
