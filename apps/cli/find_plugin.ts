// Which plugin does a name on the command line mean, and with which options?
import { createRequire } from "node:module"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import {
  importPlugin,
  type NamedPluginText,
  parsePluginText,
  pickPlugin,
  type PluginKind,
  PluginUnavailable,
  type PluginUse
} from "powerinfer"
import { InvalidUsage } from "./invalid_usage.ts"
import { knownPlugins } from "./plugins.ts"

/**
 * Finds the plugin that `text` means, and its options.
 *
 * - `text`  NAME, NAME:key=value,key=value or NAME:{"key": value}; values are JSON where they parse as such, else text.
 *           NAME is that of a plugin of ours or of a direct dependency of the project that the command runs in (`hash_rows`), of a package
 *           (`@acme/predictor-x`), or the path of a module (`./my_predictor.ts`) that default-exports what `definePlugin` returns
 * - `importing`  as for `importPlugin`
 * - fails        `InvalidUsage`, `PluginUnavailable`, `PluginIncompatible`
 */
export const findPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(
  kind: Kind,
  text: string,
  importing: { readonly anyEngine?: boolean } = {}
) {
  const { name, options } = yield* readPluginText(text)
  const module = yield* locatePlugin(kind, name)
  const plugin = yield* importPlugin(kind, name, module, importing)
  // The module as it was found: a copy of it may say where it came from.
  const use: PluginUse<Kind> = { kind, name: plugin.name, module, options }
  return use
})

const locatePlugin = Effect.fnUntraced(function* (kind: PluginKind, name: string) {
  if (/^[./]|^[A-Za-z]:[\\/]|\.[cm]?[jt]s$/.test(name)) return pathToFileURL(resolve(name)).href
  const listed = yield* knownPlugins
  if (listed.some((listing) => listing.kind === kind && (listing.name === name || listing.package === name))) {
    return (yield* pickPlugin(listed, kind, name)).module
  }
  // A package that does not announce what it has may still have a plugin as its main module.
  return yield* Effect.try({
    try: () => pathToFileURL(createRequire(join(process.cwd(), "package.json")).resolve(name)).href,
    catch: () => {
      const names = listed.filter((listing) => listing.kind === kind).map((listing) => listing.name)
      const remedy = `use ${names.join(", ")}, the name of a package that is a dependency here, or the path of a module`
      return new PluginUnavailable({ kind, name, reason: `there is no plugin and no package of that name; ${remedy}` })
    }
  })
})

/** The name of a plugin and its options, from a command line or a settings file. */
export const readPluginText = (text: string): Effect.Effect<NamedPluginText, InvalidUsage> => {
  const named = parsePluginText(text)
  return typeof named === "string" ? Effect.fail(new InvalidUsage({ reason: named })) : Effect.succeed(named)
}
