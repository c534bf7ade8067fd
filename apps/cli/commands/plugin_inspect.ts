// powerinfer plugin inspect: what is a plugin, does it fit, and what can be chosen about it?
import { existsSync } from "node:fs"
import * as Effect from "effect/Effect"
import {
  engineVersion,
  importPlugin,
  type OptionField,
  optionFields,
  outdatedSide,
  type Plugin,
  type PluginKind
} from "powerinfer"
import { findAnyPlugin } from "../find_any_plugin.ts"
import { modulePath, packageOf } from "../module_package.ts"
import { plainValue, showValue } from "../option_text.ts"
import { print, printJson } from "../output.ts"
import { textTable } from "../text_table.ts"

export interface PluginInspectInput {
  readonly name: string
  readonly kind: PluginKind | undefined
  readonly json: boolean
}

/** Prints what the plugin says of itself; a plugin that does not fit this engine is shown too, and said not to. */
export const pluginInspect = Effect.fnUntraced(function* ({ name, kind, json }: PluginInspectInput) {
  // An engine that is too old or too new is no reason not to look.
  const use = yield* findAnyPlugin(name, kind, { anyEngine: true })
  const about = describePlugin(yield* importPlugin(use.kind, use.name, use.module, { anyEngine: true }))
  yield* json ? printJson(about) : print(inspectionText(about))
})

/** The keys of `plugin inspect --json`. */
const describePlugin = (plugin: Plugin) => {
  const { kind, name, version, engine, module, kernels } = plugin
  return {
    kind,
    name,
    version,
    engine,
    engine_version: engineVersion,
    fits_engine: outdatedSide(engine) === undefined,
    module: modulePath(module),
    package: packageOf(module) ?? null,
    trains: "train" in plugin && plugin.train !== undefined,
    kernels: kernels
      ? {
          candidates: kernels.candidates.map((path) => ({ path, exists: existsSync(modulePath(path)) })),
          build: kernels.build
        }
      : null,
    options: optionFields(plugin.options).map((field) => describeField(kind, field))
  }
}

const describeField = (kind: PluginKind, field: OptionField) => ({
  key: field.key,
  flag: `--${kind}.${field.key}`,
  type: field.kind,
  ...(field.choices && { choices: field.choices }),
  required: field.required,
  ...(field.default !== undefined && { default: plainValue(field.default) }),
  ...(field.description !== undefined && { description: field.description })
})

const inspectionText = (about: ReturnType<typeof describePlugin>): string => {
  const fits = about.fits_engine ? "fits" : "does not fit"
  const rows = [
    ["kind", about.kind],
    ["version", about.version],
    ["engine", `${about.engine} (this is ${about.engine_version}: ${fits})`],
    ["module", about.module],
    ["package", about.package ?? "none"],
    ["trains", about.trains ? "yes" : "no"],
    ["kernels", about.kernels ? "native" : "none"],
    ...(about.kernels?.candidates ?? []).map(({ path, exists }) => ["", `${path}${exists ? "" : " (not there)"}`]),
    ...(about.kernels ? [["", `built by ${about.kernels.build}`]] : [])
  ]
  const options = about.options.map(({ flag, type, choices, required, default: value, description }) => [
    flag,
    choices ? choices.join("|") : type,
    value === undefined ? (required ? "required" : "") : showValue(value),
    description ?? ""
  ])
  const table = options.length > 0 ? textTable([["option", "type", "default", ""], ...options]) : "no options"
  return `${about.name}\n${textTable(rows.map(([key = "", value = ""]) => [`  ${key}`, value]))}\n\n${table}\n`
}
