// What does a settings file say, and is it right? TOML whose keys are those of the flags.
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type CacheType, optionFields } from "powerinfer"
import { batchRows, cacheTypes, contextTokens } from "./flag_values.ts"
import { plainValue } from "./option_text.ts"
import { listKeys } from "./plugin_fields.ts"
import { decodeToml, readToml, valueAt } from "./toml_file.ts"

const PluginSection = Schema.Struct({
  use: Schema.NonEmptyString,
  options: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})

const Settings = Schema.Struct({
  ctx: Schema.optionalKey(contextTokens),
  kv_type: Schema.optionalKey(Schema.Literals(cacheTypes satisfies ReadonlyArray<CacheType>)),
  batch: Schema.optionalKey(batchRows),
  check_plugins: Schema.optionalKey(Schema.Boolean),
  predictor: Schema.optionalKey(PluginSection),
  placement: Schema.optionalKey(PluginSection),
  backend: Schema.optionalKey(Schema.Array(PluginSection))
})

/** A plugin that the file names. */
export interface PluginSection {
  readonly use: string
  readonly options: Readonly<Record<string, unknown>>
  /** Where its options are: "backend[0].options". */
  readonly place: string
}

export interface SettingsFile {
  /** As it was named. */
  readonly path: string
  readonly ctx?: number
  readonly kvType?: CacheType
  readonly batch?: number
  readonly checkPlugins?: boolean
  readonly plugins: {
    readonly predictor: ReadonlyArray<PluginSection>
    readonly placement: ReadonlyArray<PluginSection>
    readonly backend: ReadonlyArray<PluginSection>
  }
}

/** Reads and checks a settings file. Fails with `FileNotFound`, `FileUnreadable`, or `InvalidUsage` that names file, place and what to write. */
export const readSettingsFile = Effect.fnUntraced(function* (path: string) {
  const parsed = yield* readToml(path)
  const settings = yield* decodeToml(path, Settings, parsed, (message, keys) => problem(message, keys, parsed))
  const section = (place: string, { use, options = {} }: typeof PluginSection.Type): PluginSection => ({
    // A path in a file is meant from where the file lies.
    use: /^\.{1,2}[\\/]/.test(use) ? resolve(dirname(path), use) : use,
    options,
    place: `${place}.options`
  })
  const found: SettingsFile = {
    path,
    ...(settings.ctx !== undefined && { ctx: settings.ctx }),
    ...(settings.kv_type !== undefined && { kvType: settings.kv_type }),
    ...(settings.batch !== undefined && { batch: settings.batch }),
    ...(settings.check_plugins !== undefined && { checkPlugins: settings.check_plugins }),
    plugins: {
      predictor: settings.predictor ? [section("predictor", settings.predictor)] : [],
      placement: settings.placement ? [section("placement", settings.placement)] : [],
      backend: (settings.backend ?? []).map((one, index) => section(`backend[${index}]`, one))
    }
  }
  return found
})

/** What is wrong at a place, and what to write there. */
const problem = (message: string, keys: ReadonlyArray<PropertyKey>, parsed: unknown): string => {
  if (message === "Missing key") return 'it is missing; write use = "NAME", a path or a package'
  if (message === "Expected array") return 'there may be several; write [[backend]] and below it use = "NAME"'
  if (message === "Expected object" && keys.at(-1) !== "options") {
    const title = keys[0] === "backend" ? "[[backend]]" : `[${String(keys[0])}]`
    return `it is a section; write ${title} and below it use = "NAME"`
  }
  if (message !== "Expected no excess property") {
    return `${message}, got ${JSON.stringify(plainValue(valueAt(parsed, keys)))}`
  }
  return `there is no such key; write ${listKeys(optionFields(keys.length > 1 ? PluginSection : Settings))}`
}
