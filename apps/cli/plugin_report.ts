// What does a report say about a plugin that a run used, and where its options came from?
import * as Effect from "effect/Effect"
import { decodeOptions, importPlugin, optionFields, type PluginUse } from "powerinfer"
import { modulePath, packageOf } from "./module_package.ts"
import { plainValue } from "./option_text.ts"

/**
 * Every option with the value that the plugin got, and who gave it: "default", a flag, or the settings file.
 *
 * - `module`  the package whose door it is, else its path
 */
export const pluginReport = Effect.fnUntraced(function* (use: PluginUse) {
  const plugin = yield* importPlugin(use.kind, use.name, use.module)
  const decoded = yield* decodeOptions(plugin, use.options)
  const values = typeof decoded === "object" && decoded !== null ? Object.entries(decoded) : []
  // As they are written: a Schema may rename them, and then the names of values are others.
  const keys = new Set([...optionFields(plugin.options).map(({ key }) => key), ...Object.keys(use.options)])
  const given = [...keys].filter((key) => Object.hasOwn(use.options, key) || values.some(([name]) => name === key))
  return {
    kind: plugin.kind,
    name: plugin.name,
    version: plugin.version,
    module: packageOf(plugin.module) ?? modulePath(plugin.module),
    options: Object.fromEntries(values.map(([key, value]) => [key, plainValue(value)])),
    options_from: Object.fromEntries(
      given.map((key) => [key, Object.hasOwn(use.options, key) ? (use.optionsFrom?.[key] ?? "program") : "default"])
    )
  }
})
