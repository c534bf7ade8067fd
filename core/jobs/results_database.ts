// Where are the results of an experiment kept, so that one that was interrupted goes on?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { EvaluationFigures, UsedPlugin } from "../artifacts/evaluation.ts"
import { ModelIdentity } from "../artifacts/artifact.ts"

/** The database of an experiment cannot be opened, read or written. */
export class ResultsUnusable extends Schema.TaggedError<ResultsUnusable>()("ResultsUnusable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot use the results ${this.path}: ${this.reason}; name another directory with --out, or remove the file`
  }
}

/** Where and how a result was made: nothing that decides fidelity, everything that decides speed. */
export const Provenance = Schema.Struct({
  date: Schema.String,
  command: Schema.Array(Schema.String),
  machine: Schema.Struct({
    cpu: Schema.String,
    isas: Schema.Array(Schema.String),
    cores: Schema.Int,
    memoryBytes: Schema.Finite,
    /** Of the threads that ran the model; absent where it could not be measured. */
    bandwidthBytesPerSecond: Schema.optionalKey(Schema.Finite)
  }),
  versions: Schema.Record(Schema.String, Schema.String),
  /** Of the directory that the command ran in, if it is in a repository. */
  commit: Schema.optionalKey(Schema.String),
  seconds: Schema.Finite
})
export type Provenance = typeof Provenance.Type

/** One point of an experiment: what was run, what was measured, and how. */
export const PointRecord = Schema.Struct({
  /** Of everything that determines the figures, speeds aside: the same key, the same fidelity. */
  key: Schema.String,
  /** The same for points that differ in nothing but their seed. */
  variant: Schema.String,
  model: ModelIdentity,
  /** Its file, as it was named. */
  file: Schema.String,
  predictor: UsedPlugin,
  placement: UsedPlugin,
  backends: Schema.Array(UsedPlugin),
  windows: Schema.Int,
  windowLength: Schema.Int,
  windowSeed: Schema.optionalKey(Schema.Int),
  /** Weights that a dense token of this model reads, and the FFN's part. */
  tokenBytes: Schema.Finite,
  ffnBytes: Schema.Finite,
  figures: EvaluationFigures,
  provenance: Provenance
})
export type PointRecord = typeof PointRecord.Type

/** Rows of one table, a point each. */
export interface ResultsDatabase {
  readonly find: (key: string) => Effect.Effect<PointRecord | undefined, ResultsUnusable>
  /** Kept when this returns: whoever is killed later has it. */
  readonly keep: (record: PointRecord) => Effect.Effect<void, ResultsUnusable>
}

/** Raised when records of before can no longer be read. */
const formatVersion = 1

/** What SQL can ask for stands in columns of its own; the record is whole in `record`. */
const schema = `
CREATE TABLE IF NOT EXISTS points (
  key TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  file TEXT NOT NULL,
  predictor TEXT NOT NULL,
  options TEXT NOT NULL,
  placement TEXT NOT NULL,
  window_seed INTEGER,
  fidelity TEXT NOT NULL,
  kl_divergence REAL NOT NULL,
  top_agreement REAL NOT NULL,
  recall REAL,
  precision REAL,
  bytes_per_token REAL,
  tokens_per_s REAL,
  date TEXT NOT NULL,
  seconds REAL NOT NULL,
  record TEXT NOT NULL
) STRICT`

/** Opens or makes the database; closed with the scope. */
export const openResults = (path: string): Effect.Effect<ResultsDatabase, ResultsUnusable, Scope.Scope> => {
  const attempt = <A>(use: () => A) =>
    Effect.try({ try: use, catch: (cause) => new ResultsUnusable({ path, reason: (cause as Error).message }) })
  return Effect.gen(function* () {
    // Bun and Deno have it alike. Only who compares loads it.
    const { DatabaseSync } = yield* Effect.promise(() => import("node:sqlite"))
    const database = yield* Effect.acquireRelease(
      attempt(() => new DatabaseSync(path)),
      (open) => Effect.sync(() => open.close())
    )
    const found = yield* attempt(() => {
      database.exec("PRAGMA busy_timeout = 5000")
      const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number }
      if (version === 0) database.exec(`${schema}; PRAGMA user_version = ${formatVersion}`)
      return version
    })
    if (found !== 0 && found !== formatVersion) {
      const reason = `they have version ${found}, this program reads ${formatVersion}`
      return yield* new ResultsUnusable({ path, reason })
    }
    const select = database.prepare("SELECT record FROM points WHERE key = ?")
    const columns = 17
    const insert = database.prepare(`INSERT OR REPLACE INTO points VALUES (${Array(columns).fill("?").join(", ")})`)
    const results: ResultsDatabase = {
      find: Effect.fnUntraced(function* (key) {
        const row = yield* attempt(() => select.get(key) as { record: string } | undefined)
        if (!row) return undefined
        const decoded = Schema.decodeUnknownResult(PointRecord)(yield* attempt((): unknown => JSON.parse(row.record)))
        if (Result.isSuccess(decoded)) return decoded.success
        return yield* new ResultsUnusable({ path, reason: `a point is damaged: ${decoded.failure.message}` })
      }),
      keep: (record) =>
        attempt(() => {
          const { predictor, placement, figures, provenance } = record
          const { selection, decode } = figures
          insert.run(
            record.key,
            record.model.name,
            record.file,
            predictor.name,
            JSON.stringify(predictor.options),
            placement.name,
            record.windowSeed ?? null,
            figures.fidelity,
            figures.divergence.mean.value,
            figures.topAgreement.value,
            selection?.recall?.value ?? null,
            selection?.precision?.value ?? null,
            decode ? decode.asked.weightBytes + decode.asked.cacheBytes : null,
            decode?.asked.tokensPerSecond.median ?? null,
            provenance.date,
            provenance.seconds,
            JSON.stringify(Schema.encodeSync(PointRecord)(record))
          )
        })
    }
    return results
  })
}
