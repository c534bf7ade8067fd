// What does an experiment file ask for, and is it right? TOML that names models, texts and ways to run them.
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type CacheType, optionFields, type Protocol, protocols } from "powerinfer"
import { batchRows, cacheTypes, count } from "./flag_values.ts"
import { plainValue } from "./option_text.ts"
import { listKeys } from "./plugin_fields.ts"
import { decodeToml, readToml, valueAt } from "./toml_file.ts"

const seed = Schema.Int.check(Schema.isUint32())
const share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const some = <Item extends Schema.Top>(item: Item) => Schema.Array(item).check(Schema.isMinLength(1))

const PluginGrid = Schema.Struct({
  use: Schema.NonEmptyString,
  options: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})

const ExperimentKeys = Schema.Struct({
  models: some(Schema.NonEmptyString),
  texts: Schema.optionalKey(some(Schema.NonEmptyString)),
  protocol: Schema.optionalKey(Schema.Literals(protocols)),
  ctx: Schema.optionalKey(count(2)),
  windows: Schema.optionalKey(count(1)),
  seeds: Schema.optionalKey(some(seed)),
  kv_type: Schema.optionalKey(Schema.Literals(cacheTypes satisfies ReadonlyArray<CacheType>)),
  batch: Schema.optionalKey(batchRows),
  prompts: Schema.optionalKey(count(0)),
  decode_windows: Schema.optionalKey(count(0)),
  oracle_shares: Schema.optionalKey(Schema.Array(share)),
  replay: Schema.optionalKey(Schema.NonEmptyString),
  predictor: some(PluginGrid),
  placement: Schema.optionalKey(some(PluginGrid)),
  backend: Schema.optionalKey(some(PluginGrid))
})

/** A plugin, and options of which every list stands for several values. */
export interface PluginGrid {
  readonly use: string
  readonly options: Readonly<Record<string, unknown>>
  /** For messages: "experiment.toml: predictor[1]". */
  readonly place: string
}

/** As it was written; paths are meant from where the file lies. */
export interface ExperimentFile {
  readonly path: string
  readonly folder: string
  readonly models: ReadonlyArray<string>
  readonly texts: ReadonlyArray<string>
  readonly protocol: Protocol
  readonly windowLength: number | undefined
  readonly windows: number | undefined
  readonly seeds: ReadonlyArray<number>
  readonly cacheType: CacheType
  readonly batch: number | undefined
  readonly prompts: number
  readonly decodeWindows: number
  /** Shares of neurons that oracles keep, for the bound beside every result. */
  readonly oracleShares: ReadonlyArray<number>
  readonly replay: string | undefined
  readonly predictors: ReadonlyArray<PluginGrid>
  readonly placements: ReadonlyArray<PluginGrid>
  readonly backends: ReadonlyArray<PluginGrid>
}

/** Where nobody says otherwise: from what loses much to what loses nearly nothing, on models of which a tenth fires. */
const defaultOracleShares = [0.03, 0.05, 0.1, 0.2] as const

/** Reads and checks an experiment file. Fails with `FileNotFound`, `FileUnreadable`, or `InvalidUsage` that names file, place and what to write. */
export const readExperimentFile = Effect.fnUntraced(function* (path: string) {
  const parsed = yield* readToml(path)
  const keys = yield* decodeToml(path, ExperimentKeys, parsed, (message, at) => problem(message, at, parsed))
  const folder = dirname(resolve(path))
  const fromHere = (name: string) => resolve(folder, name)
  const grids = (kind: string, sections: ReadonlyArray<typeof PluginGrid.Type>) =>
    sections.map(({ use, options = {} }, index): PluginGrid => ({
      use: /^\.{1,2}[\\/]/.test(use) ? fromHere(use) : use,
      options,
      place: `${path}: ${kind}[${index}]`
    }))
  const file: ExperimentFile = {
    path,
    folder,
    models: keys.models.map(fromHere),
    texts: (keys.texts ?? []).map(fromHere),
    protocol: keys.protocol ?? "llama.cpp",
    windowLength: keys.ctx,
    windows: keys.windows,
    seeds: keys.seeds ?? [],
    cacheType: keys.kv_type ?? "f16",
    batch: keys.batch,
    prompts: keys.prompts ?? 8,
    decodeWindows: keys.decode_windows ?? 4,
    oracleShares: keys.oracle_shares ?? defaultOracleShares,
    replay: keys.replay === undefined ? undefined : fromHere(keys.replay),
    predictors: grids("predictor", keys.predictor),
    placements: grids("placement", keys.placement ?? []),
    backends: grids("backend", keys.backend ?? [])
  }
  return file
})

const isSection = (key: PropertyKey | undefined): boolean =>
  key === "predictor" || key === "placement" || key === "backend"

/** What is wrong at a place, and what to write there. */
const problem = (message: string, keys: ReadonlyArray<PropertyKey>, parsed: unknown): string => {
  const [first] = keys
  if (message === "Missing key") {
    if (keys.length === 1 && isSection(first))
      return `it is missing; write [[${String(first)}]] and below it use = "NAME"`
    return keys.at(-1) === "use"
      ? 'it is missing; write use = "NAME", a path or a package'
      : `it is missing; write ${String(first)} = ["FILE"]`
  }
  if (message === "Expected array" && keys.length === 1) {
    return isSection(first)
      ? `there may be several; write [[${String(first)}]] and below it use = "NAME"`
      : `there may be several; write ${String(first)} = [ … ]`
  }
  if (message !== "Expected no excess property") {
    return `${message}, got ${JSON.stringify(plainValue(valueAt(parsed, keys)))}`
  }
  return `there is no such key; write ${listKeys(optionFields(keys.length > 1 ? PluginGrid : ExperimentKeys))}`
}

/** Every choice of one value from each list, the last list first: { a: [1, 2], b: 3 } is two. A list as a value is written [[…]]. */
export const expandOptions = (
  options: Readonly<Record<string, unknown>>
): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Object.entries(options).reduce<ReadonlyArray<Readonly<Record<string, unknown>>>>(
    (expanded, [key, value]) => {
      const values: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
      return expanded.flatMap((before) => values.map((one) => ({ ...before, [key]: one })))
    },
    [{}]
  )
