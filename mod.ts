// The SDK: the core's public names, and an engine wired with the plugins that come with powerinfer.
import { fileURLToPath } from "node:url"
import {
  discoverPlugins,
  Engine as CoreEngine,
  type EngineError,
  type EngineOptions,
  findDevices,
  openEngine,
  openModel,
  pickPlugin,
  toEngineError
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export * from "@powerinfer/core"

/** The plugins that come with powerinfer, found as those of any other project are, in its workspace or among its dependencies, when they are first asked for. */
export const firstPartyPlugins = Effect.runSync(
  Effect.cached(discoverPlugins(fileURLToPath(new URL(".", import.meta.url))))
)

/** What runs where nobody says otherwise. */
const pluginDefaults = {
  backend: "cpu",
  placement: (backendCount: number) => (backendCount > 1 ? "auto" : "single_device"),
  predictor: (sparse: boolean) => (sparse ? "exact_gate" : "every_neuron")
} as const

/** Rows of one prefill batch, and the batch size up to which an exact predictor runs sparse. Measured: docs/measurements.md. */
const batchDefaults = { rowCountMax: 64, sparseRowCountMax: 8 } as const

/** `EngineOptions` where everything but the model has a default. */
export type EngineSettings = Pick<EngineOptions, "model"> & Partial<EngineOptions>

/**
 * The engine with our plugins as defaults: a GPU where one answers, and the CPU; `exact_gate` where the model's activation makes zeros, else
 * `every_neuron`; of several devices `auto` says who holds what.
 *
 * @example
 * ```ts
 * const program = Engine.use((engine) => Stream.runForEach(engine.generate({ prompt: "Once" }), (part) => Console.log(part.text)))
 * program.pipe(Effect.provide(Engine.layer({ model: "model.gguf" })), Effect.runPromise)
 * ```
 */
export class Engine extends CoreEngine {
  static layer(settings: EngineSettings): Layer.Layer<CoreEngine, EngineError> {
    return Layer.effect(CoreEngine, Effect.flatMap(withDefaults(settings), openEngine))
  }
}

/**
 * The devices of this machine, as they are used where nobody names any: those that backends of ours find without building anything and that run the
 * model (absent: any), then the CPU.
 */
export const autoBackends = Effect.fnUntraced(function* (model: string | undefined, announce: (line: string) => void) {
  const { plugins } = yield* firstPartyPlugins
  const found = yield* findDevices(plugins, model === undefined ? undefined : openModel(model), announce)
  return [...found, yield* pickPlugin(plugins, "backend", pluginDefaults.backend)]
}, Effect.mapError(toEngineError))

/** Fills in the defaults of `Engine.layer`; reads the model's header to choose backends and predictor. Fails if a default is not installed. */
export const withDefaults = Effect.fnUntraced(function* (settings: EngineSettings) {
  const { plugins } = yield* firstPartyPlugins
  const predictorName = () => Effect.map(openModel(settings.model), ({ sparse }) => pluginDefaults.predictor(sparse))
  const backends = settings.backends ?? (yield* autoBackends(settings.model, settings.announce ?? (() => {})))
  const placementName = pluginDefaults.placement(backends.length)
  return {
    ...batchDefaults,
    ...settings,
    backends,
    known: settings.known ?? plugins,
    placement: settings.placement ?? (yield* pickPlugin(plugins, "placement", placementName)),
    predictor: settings.predictor ?? (yield* pickPlugin(plugins, "predictor", yield* predictorName()))
  } satisfies EngineOptions
}, Effect.mapError(toEngineError))
