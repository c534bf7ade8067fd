// How does the name of a plugin become something that opens? Its module is imported, and everything that it says about itself is checked.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as Scope from "effect/Scope"
import { loadPluginLibrary } from "../native/plugin_library.ts"
import type { Model } from "../model/model.ts"
import type { Workload } from "../placement.ts"
import {
  type BackendPlugin,
  type Plugin,
  type PluginKind,
  pluginKinds,
  type PluginKinds,
  type PluginUse
} from "../plugin.ts"
import { engineVersion, outdatedSide } from "./engine_version.ts"
import { PluginIncompatible, PluginUnavailable } from "./plugin_error.ts"

/** A plugin with checked options: ready to open, any number of times. */
export interface LoadedPlugin<Kind extends PluginKind = PluginKind> {
  readonly plugin: Plugin<Kind>
  readonly open: (
    context: PluginKinds[Kind]["context"]
  ) => Effect.Effect<PluginKinds[Kind]["opened"], PluginKinds[Kind]["refusal"], Scope.Scope>
  /** Of a backend, with its options. */
  readonly backend: Kind extends "backend" ? LoadedBackend : undefined
}

/** What a backend says before it is opened; see `BackendPlugin`. */
export interface LoadedBackend {
  readonly facts: (workload?: Workload) => ReturnType<BackendPlugin["facts"]>
  readonly measure: ((measuring: "once" | "again") => ReturnType<NonNullable<BackendPlugin["measure"]>>) | undefined
  readonly devices: ((model?: Model) => ReturnType<NonNullable<BackendPlugin["devices"]>>) | undefined
}

/** Longer than any module takes that does not wait for something that never comes. */
const importTimeoutMs = 30_000

/** Imports the plugin's module, checks its options and its native code. Fails with `PluginUnavailable` or `PluginIncompatible`. */
export const loadPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(use: PluginUse<Kind>) {
  const plugin = yield* importPlugin(use.kind, use.name, use.module)
  yield* checkKernels(plugin)
  return yield* bindPlugin(plugin, use.options)
})

/** Native code that is missing or does not fit is known before the plugin opens. */
const checkKernels = ({ kind, name, kernels }: Plugin): Effect.Effect<void, PluginUnavailable> =>
  kernels === undefined
    ? Effect.void
    : Effect.scoped(loadPluginLibrary(kernels)).pipe(
        Effect.mapError(({ message }) => new PluginUnavailable({ kind, name, reason: message })),
        Effect.asVoid
      )

/**
 * The plugin that a module default-exports, of the kind that is wanted and written for this engine.
 *
 * - `name`       for messages, until the plugin says its own
 * - `anyEngine`  also one that is written for another engine: to look at, not to open
 */
export const importPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(
  kind: Kind,
  name: string,
  module: string,
  options: { readonly anyEngine?: boolean } = {}
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
  if (found.kind !== kind) return yield* unavailable(`it is a ${found.kind}; name a ${kind}`)
  if (options.anyEngine !== true) yield* checkEngine(found)
  return found as Plugin<Kind>
})

/** What a plugin gets of its options. Fails with `PluginUnavailable` if they are wrong. */
export const decodeOptions = (
  { kind, name, options: schema }: Plugin,
  options: Readonly<Record<string, unknown>>
): Effect.Effect<unknown, PluginUnavailable> => {
  const unavailable = (reason: string) => new PluginUnavailable({ kind, name, reason })
  const [stray] = Object.keys(options)
  if (stray !== undefined && hasNoOptions(schema))
    return Effect.fail(unavailable(`it has no options, ${stray} was given`))
  return Schema.decodeUnknownEffect(schema)(options, { onExcessProperty: "error" }).pipe(
    Effect.mapError(({ message }) => unavailable(`its options are wrong: ${message}`))
  )
}

/** The plugin with its options decoded. Fails with `PluginUnavailable` if they are wrong. */
export const bindPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(
  plugin: Plugin<Kind>,
  options: Readonly<Record<string, unknown>>
) {
  const decoded: unknown = yield* decodeOptions(plugin, options)
  const backend = "facts" in plugin ? bindBackend(plugin, decoded) : undefined
  const open = plugin.open as (options: unknown, context: PluginKinds[Kind]["context"]) => unknown
  const loaded: unknown = { plugin, open: (context: PluginKinds[Kind]["context"]) => open(decoded, context), backend }
  return loaded as LoadedPlugin<Kind>
})

const bindBackend = (plugin: BackendPlugin, options: unknown): LoadedBackend => ({
  facts: (workload) => Effect.suspend(() => plugin.facts(options, workload)),
  measure: plugin.measure && ((measuring) => Effect.suspend(() => plugin.measure!(options, measuring))),
  devices: plugin.devices && ((model) => Effect.suspend(() => plugin.devices!(options, model)))
})

/** A struct of no fields, which Effect takes for any object. */
const hasNoOptions = ({ ast }: Schema.Top): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

/** What a module must have for us to know what it is: the rest is its own business until it is called. */
const checkPlugin = (exported: unknown): Effect.Effect<Plugin, string> => {
  if (typeof exported !== "object" || exported === null) {
    return Effect.fail("has no plugin as its default export; export default definePlugin({ … })")
  }
  const plugin = exported as Partial<Record<keyof Plugin | "facts" | "train" | "measure" | "devices", unknown>>
  const wrong = (field: string, wanted: string) =>
    Effect.fail(`default-exports no plugin: its ${field} is not ${wanted}`)
  if (!pluginKinds.includes(plugin.kind as PluginKind)) return wrong("kind", `one of ${pluginKinds.join(", ")}`)
  for (const field of ["name", "version", "engine", "module"] as const) {
    if (typeof plugin[field] !== "string" || plugin[field] === "") return wrong(field, "a text")
  }
  if (!Schema.isSchema(plugin.options)) return wrong("options", "a Schema")
  if (typeof plugin.open !== "function") return wrong("open", "a function")
  if (plugin.kind === "backend" && typeof plugin.facts !== "function") return wrong("facts", "a function")
  for (const field of ["train", "measure", "devices"] as const) {
    if (plugin[field] !== undefined && typeof plugin[field] !== "function") return wrong(field, "a function")
  }
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
