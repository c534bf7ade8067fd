// Which options do the plugins have that a command line or a settings file names? Known before the command line is parsed, because they are flags.
import { existsSync } from "node:fs"
import * as Effect from "effect/Effect"
import type { EngineError, OptionField, PluginKind } from "powerinfer"
import { flagKinds, scanArguments } from "./argument_scan.ts"
import type { InvalidUsage } from "./invalid_usage.ts"
import { note } from "./output.ts"
import type { SettingsFile } from "./settings_file.ts"

/** Read where the command runs, when no other is named. */
export const defaultSettingsFile = "powerinfer.toml"

/** A field, and the names of the plugins that have it; of several kinds in different plugins: `json`. */
export interface KnownField extends OptionField {
  readonly owners: ReadonlyArray<string>
}

export interface KnownOptions {
  readonly file: SettingsFile | undefined
  readonly fields: { readonly [Kind in PluginKind]: ReadonlyArray<KnownField> }
}

/** Of a command line that names nothing. */
export const nothingKnown: KnownOptions = {
  file: undefined,
  fields: { predictor: [], placement: [], backend: [] }
}

/**
 * Reads the settings file and imports the plugins that are named there or among the arguments; nothing is loaded where there are none.
 *
 * Where only help is wanted, what goes wrong is told and otherwise ignored.
 */
export const knownOptions = (args: ReadonlyArray<string>): Effect.Effect<KnownOptions, EngineError | InvalidUsage> => {
  const scanned = scanArguments(args)
  if (scanned === undefined) return Effect.succeed(nothingKnown)
  const named = scanned.optionFlags.length > 0 || flagKinds.some((kind) => scanned.plugins[kind].length > 0)
  const path = scanned.config ?? (existsSync(defaultSettingsFile) ? defaultSettingsFile : undefined)
  if (!named && path === undefined) return Effect.succeed(nothingKnown)
  const known = Effect.flatMap(
    Effect.promise(() => import("./load_known_options.ts")),
    ({ loadKnownOptions }) => loadKnownOptions(scanned, path)
  )
  return scanned.help
    ? Effect.catch(known, (error) => Effect.as(note(`powerinfer: ${error.message}`), nothingKnown))
    : known
}
