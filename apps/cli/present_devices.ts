// How fast are the devices of this machine with this model?
import * as Effect from "effect/Effect"
import {
  type CacheType,
  type Calibration,
  calibrateSpeed,
  type DeviceFacts,
  loadPlugin,
  measureBandwidth,
  type Model,
  openPlan,
  type PluginUse,
  sparsityFacts,
  withDefaults,
  type Workload
} from "powerinfer"
import { findPlugin } from "./find_plugin.ts"

/** Passes of a calibration, of which the medians count. */
const repetitions = 5
/** About what one of them should take: less is noise on a machine that others use too. */
const passSeconds = 0.5
const promptTokens = 16
/** Fewer tokens say nothing, more do not fit every context. */
const [fewestTokens, mostTokens] = [16, 256]

export interface PresentDevices {
  readonly devices: ReadonlyArray<DeviceFacts>
  /** Share of neurons that fire in text of the model's own; undefined where nobody looked, or all do. */
  readonly activeShare: number | undefined
}

/**
 * What the backends say of themselves, and what is measured here: with `calibrate` by running the model on each of them alone, else only how fast
 * memory is read, for those that say nothing.
 */
export const presentDevices = Effect.fnUntraced(function* (
  model: Model,
  options: {
    readonly backends: ReadonlyArray<string>
    readonly calibrate: boolean
    readonly cacheType: CacheType
    readonly workload: Workload
  },
  announce: (line: string) => void
) {
  const path = model.gguf.files[0]!.path
  const named = yield* Effect.forEach(options.backends, (text) => findPlugin("backend", text))
  const backends = named.length > 0 ? named : (yield* withDefaults({ model: path })).backends
  const found = yield* Effect.forEach(
    backends,
    Effect.fnUntraced(function* (backend) {
      const { backend: asked } = yield* loadPlugin(backend)
      const said = yield* asked.facts(options.workload)
      const facts = { ...said, ...(asked.measure && speedOf(yield* asked.measure("once"))) }
      const threads = typeof backend.options["threads"] === "number" ? backend.options["threads"] : 0
      const calibration = options.calibrate
        ? yield* Effect.scoped(calibrateOn(model, backend, { cacheType: options.cacheType, threads }, announce)).pipe(
            // A device that holds a part of the model can be planned for: by what reading takes there.
            Effect.catchTag("NotEnoughMemory", ({ message }) => {
              announce(`${facts.name} is not calibrated: ${message}`)
              return Effect.undefined
            })
          )
        : undefined
      if (calibration === undefined) {
        const bandwidth = facts.bandwidthBytesPerSecond ?? (yield* measureBandwidth({ threads }))
        const device: DeviceFacts = { ...facts, bandwidthBytesPerSecond: bandwidth }
        return { device, activeShare: undefined }
      }
      const device: DeviceFacts = { ...facts, ...calibration.speed }
      return { device, activeShare: calibration.activeShare }
    })
  )
  const present: PresentDevices = {
    devices: found.map(({ device }) => device),
    activeShare: found.map(({ activeShare }) => activeShare).find((share) => share !== undefined)
  }
  return present
})

const speedOf = ({ bandwidthBytesPerSecond, handOffSeconds }: DeviceFacts): Partial<DeviceFacts> => ({
  ...(bandwidthBytesPerSecond !== undefined && { bandwidthBytesPerSecond }),
  ...(handOffSeconds !== undefined && { handOffSeconds })
})

/** The whole model on this backend: dense, and with the default predictor where neurons may not fire. */
const calibrateOn = Effect.fnUntraced(function* (
  model: Model,
  backend: PluginUse<"backend">,
  { cacheType, threads }: { readonly cacheType: CacheType; readonly threads: number },
  announce: (line: string) => void
) {
  const settings = { model: model.gguf.files[0]!.path, backends: [backend], profile: true }
  const every = yield* findPlugin("predictor", "every_neuron")
  const dense = yield* openPlan(model, yield* withDefaults({ ...settings, predictor: every }), announce)
  const sparse = model.sparse ? yield* openPlan(model, yield* withDefaults(settings), announce) : undefined
  const confirming = sparse !== undefined && sparse.confirms && sparse.selector.proposes === "every"
  const { contextLength } = model.shape
  const bandwidth = yield* measureBandwidth({ threads })
  const wanted = Math.ceil((passSeconds * bandwidth) / sparsityFacts(model).tokenBytes)
  const calibration: Calibration = yield* calibrateSpeed(
    { dense, sparse: confirming ? sparse : undefined },
    {
      repetitions,
      seed: 1,
      promptTokens: Math.min(promptTokens, Math.floor(contextLength / 4)),
      decodeTokens: Math.min(Math.max(fewestTokens, wanted), mostTokens, Math.floor(contextLength / 2)),
      cacheType,
      measureBandwidth: measureBandwidth({ threads })
    }
  )
  return calibration
})
