// The SDK: the core's public names, and an engine wired with the first-party plugins.
import backendCpu from "@powerinfer/backend-cpu"
import {
  Engine as CoreEngine,
  type EngineError,
  type EngineOptions,
  openEngine,
  openModel,
  toEngineError,
  usePlugin
} from "@powerinfer/core"
import placementSingleDevice from "@powerinfer/placement-single-device"
import predictorEveryNeuron from "@powerinfer/predictor-every-neuron"
import predictorExactGate from "@powerinfer/predictor-exact-gate"
import { Effect, Layer } from "effect"

export * from "@powerinfer/core"

/** Rows of one prefill batch, and the batch size up to which an exact predictor runs sparse. Measured: docs/measurements.md. */
const batchDefaults = { rowCountMax: 64, sparseRowCountMax: 8 } as const

/** `EngineOptions` where everything but the model has a default. */
export type EngineSettings = Pick<EngineOptions, "model"> & Partial<EngineOptions>

/**
 * The engine with our plugins as defaults: the CPU; `exact_gate` where the model's activation makes zeros, else `every_neuron`; one device.
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

/** Fills in the defaults of `Engine.layer`; reads the model's header to choose the predictor. */
export const withDefaults = Effect.fnUntraced(function* (settings: EngineSettings) {
  const predictor =
    settings.predictor ??
    usePlugin((yield* openModel(settings.model)).sparse ? predictorExactGate : predictorEveryNeuron)
  return {
    backends: [usePlugin(backendCpu)],
    placement: usePlugin(placementSingleDevice),
    ...batchDefaults,
    ...settings,
    predictor
  } satisfies EngineOptions
}, Effect.mapError(toEngineError))
