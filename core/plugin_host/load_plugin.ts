// How does the name of a plugin become something that opens? Its module is imported, and everything that it says about itself is checked.
import { Effect, Schema, SchemaAST, type Scope } from "effect"
import type { BackendFailure } from "../backend.ts"
import type { NativeLibraryError } from "../native/library.ts"
import type { DeviceFacts } from "../placement.ts"
import { type Plugin, type PluginKind, pluginKinds, type PluginKinds, type PluginUse } from "../plugin.ts"
import { engineVersion, outdatedSide } from "./engine_version.ts"
import { PluginIncompatible, PluginUnavailable } from "./plugin_error.ts"

/** A plugin with checked options: ready to open, any number of times. */
export interface LoadedPlugin<Kind extends PluginKind = PluginKind> {
  readonly plugin: Plugin<Kind>
  readonly open: (
    context: PluginKinds[Kind]["context"]
  ) => Effect.Effect<PluginKinds[Kind]["opened"], PluginKinds[Kind]["refusal"], Scope.Scope>
  /** Of a backend. */
  readonly facts: Kind extends "backend" ? Effect.Effect<DeviceFacts, BackendFailure | NativeLibraryError> : undefined
}

/** Longer than any module takes that does not wait for something that never comes. */
const importTimeoutMs = 30_000

/** Imports the plugin's module and checks its options. Fails with `PluginUnavailable` or `PluginIncompatible`. */
export const loadPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(use: PluginUse<Kind>) {
  const plugin = yield* importPlugin(use.kind, use.name, use.module)
  return yield* bindPlugin(plugin, use.options)
})

/**
 * The plugin that a module default-exports, of the kind that is wanted and written for this engine.
 *
 * - `name`  for messages, until the plugin says its own
 */
export const importPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(
  kind: Kind,
  name: string,
  module: string
) {
  const unavailable = (reason: string) => new PluginUnavailable({ kind, name, reason })
  const { default: exported } = yield* Effect.tryPromise({
    try: () => import(module) as Promise<{ readonly default?: unknown }>,
    catch: (cause) => unavailable(`its module does not load (${firstLine(cause)})`)
  }).pipe(
    Effect.timeoutOrElse({
      duration: importTimeoutMs,
      orElse: () => Effect.fail(unavailable(`its module has not loaded within ${importTimeoutMs / 1000} s: ${module}`))
    })
  )
  const found = yield* checkPlugin(exported).pipe(Effect.mapError((reason) => unavailable(`${module} ${reason}`)))
  if (found.kind !== kind) return yield* unavailable(`${module} is a ${found.kind}; name a ${kind}`)
  yield* checkEngine(found)
  return found as Plugin<Kind>
})

/** The plugin with its options decoded. Fails with `PluginUnavailable` if they are wrong. */
export const bindPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(
  plugin: Plugin<Kind>,
  options: Readonly<Record<string, unknown>>
) {
  const { kind, name } = plugin
  const [stray] = Object.keys(options)
  if (stray !== undefined && hasNoOptions(plugin.options)) {
    return yield* new PluginUnavailable({ kind, name, reason: `it has no options, ${stray} was given` })
  }
  const decoded: unknown = yield* Schema.decodeUnknownEffect(plugin.options)(options, {
    onExcessProperty: "error"
  }).pipe(
    Effect.mapError(({ message }) => new PluginUnavailable({ kind, name, reason: `its options are wrong: ${message}` }))
  )
  const facts = "facts" in plugin ? (plugin.facts as (options: unknown) => unknown)(decoded) : undefined
  const open = plugin.open as (options: unknown, context: PluginKinds[Kind]["context"]) => unknown
  const loaded: unknown = { plugin, open: (context: PluginKinds[Kind]["context"]) => open(decoded, context), facts }
  return loaded as LoadedPlugin<Kind>
})

/** A struct of no fields, which Effect takes for any object. */
const hasNoOptions = ({ ast }: Schema.Top): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

/** What a module must have for us to know what it is: the rest is its own business until it is called. */
const checkPlugin = (exported: unknown): Effect.Effect<Plugin, string> => {
  if (typeof exported !== "object" || exported === null) {
    return Effect.fail("has no plugin as its default export; export default definePlugin({ … })")
  }
  const plugin = exported as Partial<Record<keyof Plugin | "facts" | "train", unknown>>
  const wrong = (field: string, wanted: string) =>
    Effect.fail(`default-exports no plugin: its ${field} is not ${wanted}`)
  if (!pluginKinds.includes(plugin.kind as PluginKind)) return wrong("kind", `one of ${pluginKinds.join(", ")}`)
  for (const field of ["name", "version", "engine", "module"] as const) {
    if (typeof plugin[field] !== "string" || plugin[field] === "") return wrong(field, "a text")
  }
  if (!Schema.isSchema(plugin.options)) return wrong("options", "a Schema")
  if (typeof plugin.open !== "function") return wrong("open", "a function")
  if (plugin.kind === "backend" && typeof plugin.facts !== "function") return wrong("facts", "a function")
  if (plugin.train !== undefined && typeof plugin.train !== "function") return wrong("train", "a function")
  return Effect.succeed(exported as Plugin)
}

const checkEngine = ({
  kind,
  name,
  version,
  engine
}: Plugin): Effect.Effect<void, PluginIncompatible | PluginUnavailable> => {
  const side = outdatedSide(engine)
  if (side === undefined) return Effect.void
  if (side === "nonsense") {
    const reason = `its engine is ${JSON.stringify(engine)}, which is no range of versions; write "^${engineVersion}"`
    return Effect.fail(new PluginUnavailable({ kind, name, reason }))
  }
  const reason = `version ${version} is written for engine ${engine}, this is ${engineVersion}`
  return Effect.fail(new PluginIncompatible({ kind, name, reason, update: side }))
}

/** A resolver's message goes on for lines. */
const firstLine = (cause: unknown): string =>
  cause instanceof Error ? cause.message.split("\n")[0] || cause.name : String(cause)
