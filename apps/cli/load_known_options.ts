// What do the plugins say of themselves that a command line and a settings file name? The part of known_options.ts that loads the core.
import * as Effect from "effect/Effect"
import type { OptionField, PluginKind } from "powerinfer"
import { autoBackendTexts, leavesBackendsOpen } from "./auto_backends.ts"
import type { ScannedArguments } from "./argument_scan.ts"
import { InvalidUsage } from "./invalid_usage.ts"
import type { KnownField, KnownOptions } from "./known_options.ts"
import { namedPlugins, noSuchOption, openFields } from "./plugin_fields.ts"
import { readSettingsFile } from "./settings_file.ts"

/** Fails where a flag gives an option that no plugin has. */
export const loadKnownOptions = Effect.fnUntraced(function* (scanned: ScannedArguments, path: string | undefined) {
  const file = path === undefined ? undefined : yield* readSettingsFile(path)
  const fieldsOf = Effect.fnUntraced(function* (kind: PluginKind) {
    const flags = scanned.optionFlags.filter((flag) => flag.kind === kind)
    const open = kind === "backend" && leavesBackendsOpen(scanned.plugins.backend, file)
    // Devices are looked for, and asked for their options, only for a flag that sets one.
    if (flags.length === 0 && open) return []
    const texts = open ? yield* autoBackendTexts(undefined, () => {}) : scanned.plugins[kind]
    const named = namedPlugins(kind, texts, file)
    const opened = yield* Effect.forEach(named, ({ text }) => openFields(kind, text))
    const fields = mergeFields(opened.map(({ plugin, fields }) => ({ name: plugin.name, fields })))
    for (const { flag, key } of flags) {
      if (fields.some((field) => field.key === key)) continue
      const owners = [...new Set(opened.map(({ plugin }) => plugin.name))]
      const reason =
        owners.length === 0
          ? `it is an option of a ${kind}, and none is named; add --${kind} NAME`
          : noSuchOption(owners, key, fields, `--${kind}.`)
      return yield* new InvalidUsage({ reason: `${flag}: ${reason}` })
    }
    return fields
  })
  const known: KnownOptions = {
    file,
    fields: {
      predictor: yield* fieldsOf("predictor"),
      placement: yield* fieldsOf("placement"),
      backend: yield* fieldsOf("backend")
    }
  }
  return known
})

/** One field a key, whoever has it. */
const mergeFields = (
  plugins: ReadonlyArray<{ readonly name: string; readonly fields: ReadonlyArray<OptionField> }>
): ReadonlyArray<KnownField> => {
  const merged = new Map<string, KnownField>()
  for (const { name, fields } of plugins) {
    for (const field of fields) {
      const before = merged.get(field.key)
      merged.set(field.key, before === undefined ? { ...field, owners: [name] } : mergeTwo(before, field, name))
    }
  }
  return [...merged.values()]
}

/** What two plugins say alike stays; where they differ, each reads the text for itself. */
const mergeTwo = (before: KnownField, field: OptionField, name: string): KnownField => {
  if (before.owners.includes(name)) return before
  const owners = [...before.owners, name]
  const same = before.kind === field.kind && String(before.choices) === String(field.choices)
  const { key, description } = before
  const required = before.required && field.required
  const about = { key, owners, required, ...(description !== undefined && { description }) }
  if (!same) return { ...about, kind: "json" }
  return {
    ...about,
    kind: before.kind,
    ...(before.choices && { choices: before.choices }),
    ...(Object.is(before.default, field.default) && before.default !== undefined && { default: before.default })
  }
}
