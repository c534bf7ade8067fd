// Which plugin does a name on the command line mean, and with which options?
import { createRequire } from "node:module"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect } from "effect"
import { type PluginKind, PluginUnavailable, type PluginUse } from "powerinfer"
import { InvalidUsage } from "./invalid_usage.ts"
import { valueOf } from "./option_text.ts"
import { firstParty, firstPartyNames, type LoadPlugin } from "./plugins.ts"

/**
 * Finds the plugin that `text` means, and its options.
 *
 * - `text`  NAME, NAME:key=value,key=value or NAME:{"key": value}; values are JSON where they parse as such, else text.
 *           NAME is one of ours, a path (`./my_predictor.ts`), or a package that is installed where the command runs (`@acme/predictor-x`),
 *           whose module default-exports what `definePlugin` returns
 * - fails   `InvalidUsage`, `PluginUnavailable`
 */
export const findPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(kind: Kind, text: string) {
  const { name, options } = yield* parsePluginText(text)
  const ours = Object.hasOwn(firstParty[kind], name) ? firstParty[kind][name] : undefined
  const load: LoadPlugin = ours ?? (() => import(locateModule(name)))
  const { default: plugin } = yield* Effect.tryPromise({
    try: load,
    catch: (cause) => {
      const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? cause.name) : String(cause)
      const remedy = `use ${firstPartyNames(kind)}, the path of a module or the name of an installed package`
      return new PluginUnavailable({ kind, name, reason: `${reason}; ${remedy}` })
    }
  })
  if (plugin?.kind !== kind) {
    const reason = plugin?.kind ? `it is a ${plugin.kind}` : "its module has no plugin as its default export"
    return yield* new PluginUnavailable({ kind, name, reason: `${reason}; name a ${kind}` })
  }
  const use: PluginUse<Kind> = { kind, name: plugin.name, module: plugin.module, options }
  return use
})

/** A path is one by its look; anything else is a package of the directory that the command runs in. */
const locateModule = (name: string): string =>
  /^[./]|^[A-Za-z]:[\\/]|\.[cm]?[jt]s$/.test(name)
    ? pathToFileURL(resolve(name)).href
    : pathToFileURL(createRequire(join(process.cwd(), "package.json")).resolve(name)).href

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
