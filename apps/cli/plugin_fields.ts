// Which plugins does a run name, and which options do they have?
import * as Effect from "effect/Effect"
import { importPlugin, type OptionField, optionFields, type PluginKind } from "powerinfer"
import { findPlugin } from "./find_plugin.ts"
import type { PluginSection, SettingsFile } from "./settings_file.ts"

/** NAME[:OPTIONS], and where it stands. */
export interface NamedPlugin {
  readonly text: string
  /** "--predictor", or the name of the settings file. */
  readonly from: string
  /** Of a settings file. */
  readonly section?: PluginSection
}

/** What flags name replaces what the file names, options and all. */
export const namedPlugins = (
  kind: PluginKind,
  texts: ReadonlyArray<string>,
  file: SettingsFile | undefined
): ReadonlyArray<NamedPlugin> => {
  if (texts.length > 0) return texts.map((text) => ({ text, from: `--${kind}` }))
  const sections = file?.plugins[kind] ?? []
  if (file && sections.length > 0) return sections.map((section) => ({ text: section.use, from: file.path, section }))
  return []
}

/** The plugin that a text means, its own options in the text, and the fields of all that it has. */
export const openFields = Effect.fnUntraced(function* <Kind extends PluginKind>(kind: Kind, text: string) {
  const use = yield* findPlugin(kind, text)
  const plugin = yield* importPlugin(kind, use.name, use.module)
  return { use, plugin, fields: optionFields(plugin.options) }
})

/** "k or share", for messages. */
export const listKeys = (fields: ReadonlyArray<OptionField>, prefix = ""): string => {
  const keys = fields.map(({ key }) => `${prefix}${key}`)
  return keys.length > 1 ? `${keys.slice(0, -1).join(", ")} or ${keys.at(-1)}` : keys.join("")
}

/** For messages: what to write instead of a key that nobody has. */
export const noSuchOption = (
  owners: ReadonlyArray<string>,
  key: string,
  fields: ReadonlyArray<OptionField>,
  prefix: string
): string => {
  const remedy = fields.length > 0 ? `write ${listKeys(fields, prefix)}` : "there are none"
  return `${owners.join(" and ")} ${owners.length > 1 ? "have" : "has"} no option ${key}; ${remedy}`
}
