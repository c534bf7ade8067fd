// Which plugin does a name on the command line mean, and with which options?
import { createRequire } from "node:module"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect } from "effect"
import { importPlugin, pickPlugin, type PluginKind, PluginUnavailable, type PluginUse } from "powerinfer"
import { InvalidUsage } from "./invalid_usage.ts"
import { valueOf } from "./option_text.ts"
import { findablePlugins } from "./plugins.ts"

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
  const { name, options } = yield* parsePluginText(text)
  const module = yield* locatePlugin(kind, name)
  const plugin = yield* importPlugin(kind, name, module, importing)
  // The module as it was found: a copy of it may say where it came from.
  const use: PluginUse<Kind> = { kind, name: plugin.name, module, options }
  return use
})

const locatePlugin = Effect.fnUntraced(function* (kind: PluginKind, name: string) {
  if (/^[./]|^[A-Za-z]:[\\/]|\.[cm]?[jt]s$/.test(name)) return pathToFileURL(resolve(name)).href
  const { ours, theirs } = yield* findablePlugins
  const listed = [...ours, ...theirs]
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

/** "oracle_top_k:share=0.1" → the name and `{ share: 0.1 }`. */
export const parsePluginText = (
  text: string
): Effect.Effect<{ readonly name: string; readonly options: Readonly<Record<string, unknown>> }, InvalidUsage> => {
  // The first colon that options follow: a path may have others.
  const [, name = text, written = ""] = /^(.+?):(\{.*|[A-Za-z_]\w*(?:=.*)?)$/s.exec(text) ?? []
  if (written === "") return Effect.succeed({ name, options: {} })
  if (written.startsWith("{")) {
    return Effect.try({
      try: () => ({ name, options: JSON.parse(written) as Record<string, unknown> }),
      catch: (cause) => unreadable(name, (cause as Error).message)
    })
  }
  const options: Record<string, unknown> = {}
  for (const part of written.split(",")) {
    const equals = part.indexOf("=")
    if (equals < 1) return Effect.fail(unreadable(name, `"${part}" has no value`))
    options[part.slice(0, equals)] = valueOf(part.slice(equals + 1))
  }
  return Effect.succeed({ name, options })
}

const unreadable = (name: string, reason: string) =>
  new InvalidUsage({
    reason: `the options of ${name} cannot be read (${reason}); write ${name}:key=value,key=value or ${name}:{"key": value}`
  })
