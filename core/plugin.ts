// What makes a backend, a predictor or a placement policy loadable by name.
import { Effect, Schema } from "effect"
import type { Backend } from "./backend.ts"
import type { Placement } from "./placement.ts"
import type { Predictor } from "./predictor.ts"

/** What each kind of plugin provides. */
export interface PluginKinds {
  readonly backend: Backend
  readonly predictor: Predictor
  readonly placement: Placement
}

export type PluginKind = keyof PluginKinds

/** A plugin as its module default-exports it. `module` lets the engine's worker import it again. */
export interface Plugin<Kind extends PluginKind = PluginKind, Options = unknown> {
  readonly kind: Kind
  readonly name: string
  /** URL of the module that default-exports this plugin: `import.meta.url`. */
  readonly module: string
  readonly options: Schema.Codec<Options, unknown>
  readonly make: (options: Options) => PluginKinds[Kind]
}

/** A plugin with its options, as it travels to the worker: plain data. */
export interface PluginUse<Kind extends PluginKind = PluginKind> {
  readonly kind: Kind
  readonly name: string
  readonly module: string
  readonly options: Readonly<Record<string, unknown>>
}

/** The named plugin cannot be had. */
export class PluginUnavailable extends Schema.TaggedError<PluginUnavailable>()("PluginUnavailable", {
  kind: Schema.String,
  name: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot load the ${this.kind} ${this.name}: ${this.reason}`
  }
}

/**
 * Defines a plugin.
 *
 * @example
 * ```ts
 * export default definePlugin({ kind: "predictor", name: "every_neuron", module: import.meta.url, options: Schema.Struct({}), make: () => predictor })
 * ```
 */
export const definePlugin = <Kind extends PluginKind, Options>(plugin: Plugin<Kind, Options>): Plugin<Kind, Options> =>
  plugin

/** Names a plugin and its options for an engine to open. Options are checked when it opens. */
export const usePlugin = <Kind extends PluginKind, Options>(
  plugin: Plugin<Kind, Options>,
  options: Readonly<Record<string, unknown>> = {}
): PluginUse<Kind> => ({ kind: plugin.kind, name: plugin.name, module: plugin.module, options })

/** Imports the plugin's module and makes it with its options. */
export const loadPlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(use: PluginUse<Kind>) {
  const unavailable = (reason: string) => new PluginUnavailable({ kind: use.kind, name: use.name, reason })
  const module = yield* Effect.tryPromise({
    try: () => import(use.module) as Promise<{ readonly default?: Plugin<Kind> }>,
    catch: (cause) =>
      unavailable(`its module does not load (${cause instanceof Error ? cause.message : String(cause)})`)
  })
  const plugin = module.default
  if (plugin?.kind !== use.kind) return yield* unavailable(`${use.module} does not default-export a ${use.kind} plugin`)
  const options = yield* Schema.decodeUnknownEffect(plugin.options)(use.options, { onExcessProperty: "error" }).pipe(
    Effect.mapError((error) => unavailable(`its options are wrong: ${error.message}`))
  )
  return plugin.make(options)
})
