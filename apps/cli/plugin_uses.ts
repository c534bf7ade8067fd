// With which options does a run use its plugins, and who gave each of them?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type OptionField, type Plugin, type PluginKind, type PluginUse } from "powerinfer"
import { readPluginText } from "./find_plugin.ts"
import { type EngineFlags, shorthandFlag, shorthands } from "./flags.ts"
import { InvalidUsage } from "./invalid_usage.ts"
import type { GivenOption } from "./option_flags.ts"
import { plainValue } from "./option_text.ts"
import { type NamedPlugin, namedPlugins, noSuchOption, openFields } from "./plugin_fields.ts"

/** An option, and how messages name the place where it was given. */
interface PlacedOption {
  readonly value: unknown
  readonly from: string
  readonly place: string
  /** In NAME:OPTIONS on the command line, which the engine checks and whose mistakes it names. */
  readonly inText: boolean
}

/**
 * The plugins of a kind that flags and the settings file name, each with its options: what the file says, then NAME:OPTIONS, then flags.
 *
 * - fails  `InvalidUsage` where an option is given twice or is wrong, `PluginUnavailable`, `PluginIncompatible`
 */
export const pluginUses = Effect.fnUntraced(function* <Kind extends PluginKind>(
  kind: Kind,
  texts: ReadonlyArray<string>,
  flags: EngineFlags
) {
  const named = namedPlugins(kind, texts, flags.file)
  const opened = yield* Effect.forEach(named, ({ text }) => openFields(kind, text))
  const short = kind === "backend" ? yield* shorthandOptions(flags, opened) : new Map<string, GivenOption>()
  return yield* Effect.forEach(
    opened,
    Effect.fnUntraced(function* ({ use, plugin, fields }, index) {
      const sources: Sources = { named: named[index]!, use, short, flags }
      const options = yield* gatherOptions(kind, fields, sources)
      yield* checkOptions(kind, plugin, fields, options)
      const values = [...options].map(([key, { value }]) => [key, value] as const)
      const origins = [...options].map(([key, { from }]) => [key, from] as const)
      const given: PluginUse<Kind> = {
        ...use,
        options: Object.fromEntries(values),
        optionsFrom: Object.fromEntries(origins)
      }
      return given
    })
  )
})

interface Sources {
  readonly named: NamedPlugin
  readonly use: PluginUse
  readonly short: ReadonlyMap<string, GivenOption>
  readonly flags: EngineFlags
}

/** Shorthands that were given, each for an option that some backend has. */
const shorthandOptions = Effect.fnUntraced(function* (
  flags: EngineFlags,
  backends: ReadonlyArray<{ readonly plugin: Plugin; readonly fields: ReadonlyArray<OptionField> }>
) {
  const given = new Map<string, GivenOption>()
  for (const key of shorthands) {
    const value = flags[key]
    if (value === undefined) continue
    const flag = shorthandFlag(key)
    const from = value === false ? `--no-${flag}` : `--${flag}`
    if (!backends.some(({ fields }) => fields.some((field) => field.key === key))) {
      const names = backends.map(({ plugin }) => plugin.name).join(", ")
      return yield* new InvalidUsage({
        reason: `${from} is for backends that have the option ${key}, and this run has none (${names}); leave it out or name another with --backend`
      })
    }
    given.set(key, { from, read: () => value })
  }
  return given
})

/** Later ones win; on the command line there is only one. */
const gatherOptions = Effect.fnUntraced(function* (
  kind: PluginKind,
  fields: ReadonlyArray<OptionField>,
  { named, use, short, flags }: Sources
) {
  const options = new Map<string, PlacedOption>()
  const twice = (one: string, other: string) =>
    new InvalidUsage({ reason: `${one} and ${other} say the same; keep one` })
  const inFile = named.section !== undefined
  for (const [key, value] of Object.entries(named.section?.options ?? {})) {
    const place = `${named.from}: ${named.section!.place}.${key}`
    options.set(key, { value, from: named.from, place, inText: false })
  }
  const text = `--${kind} ${(yield* readPluginText(named.text)).name}:…`
  for (const [key, value] of Object.entries(use.options)) {
    const before = options.get(key)
    if (before) return yield* twice(before.place, `the ${key} of use = ${JSON.stringify(named.text)}`)
    const from = inFile ? named.from : text
    options.set(key, { value, from, place: from, inText: !inFile })
  }
  for (const field of fields) {
    const shorthand = short.get(field.key)
    const flag = flags.pluginOptions?.[`${kind}.${field.key}`]
    const given = flag ?? shorthand
    if (given === undefined) continue
    if (flag && shorthand) return yield* twice(shorthand.from, flag.from)
    const before = options.get(field.key)
    if (before?.inText) {
      if (flag) return yield* twice(`${before.from} ${field.key}`, flag.from)
      // A backend's own list wins over what is said to all of them.
      continue
    }
    options.set(field.key, { value: given.read(field), from: given.from, place: given.from, inText: false })
  }
  return options
})

/** The plugin's own Schema on what was given: a mistake is named by the place where it was made. */
const checkOptions = Effect.fnUntraced(function* (
  kind: PluginKind,
  plugin: Plugin,
  fields: ReadonlyArray<OptionField>,
  options: ReadonlyMap<string, PlacedOption>
) {
  const input = Object.fromEntries([...options].map(([key, { value }]) => [key, value]))
  const decoded = yield* Effect.result(Schema.decodeUnknownEffect(plugin.options)(input, { onExcessProperty: "error" }))
  if (Result.isSuccess(decoded)) return
  const [first] = SchemaIssue.makeFormatterStandardSchemaV1()(decoded.failure.issue).issues
  const [step] = first?.path ?? []
  const key = String(typeof step === "object" ? step.key : (step ?? ""))
  const message = first?.message ?? "it is wrong"
  const found = options.get(key)
  if (found) {
    if (found.inText) return
    const unknown = message === "Expected no excess property"
    const problem = unknown
      ? noSuchOption([plugin.name], key, fields, "")
      : `${message}, got ${JSON.stringify(plainValue(found.value))}`
    return yield* new InvalidUsage({ reason: `${found.place}: ${problem}` })
  }
  const missing = fields.find((field) => field.key === key)
  if (missing) {
    const about = missing.description === undefined ? "" : ` (${missing.description})`
    return yield* new InvalidUsage({
      reason: `the ${kind} ${plugin.name} needs its option ${key}${about}; add --${kind}.${key}`
    })
  }
  // Of several options together: the engine names them where all are in NAME:OPTIONS.
  const given = [...options.values()]
  const places = new Set(given.map(({ place }) => place))
  if (given.some(({ inText }) => !inText))
    return yield* new InvalidUsage({ reason: `${[...places].join(", ")}: ${message}` })
})
