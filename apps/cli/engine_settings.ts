// What does the engine get from the flags?
import { basename } from "node:path"
import { Effect } from "effect"
import { type EngineSettings, openEngine, type PluginUse, withDefaults } from "powerinfer"
import { findPlugin } from "./find_plugin.ts"
import type { EngineFlags } from "./flags.ts"
import { InvalidUsage } from "./invalid_usage.ts"
import { withProgress } from "./progress.ts"

/** Of the commands that have it. */
interface ProfileFlag {
  readonly profile?: boolean
}

/** Turns flags into settings; what was not asked for stays open. Fails with `InvalidUsage` or `PluginUnavailable`. */
export const engineSettings = Effect.fnUntraced(function* (model: string, flags: EngineFlags) {
  const backends = yield* backendsOf(flags)
  const settings: EngineSettings = {
    model,
    backends,
    ...(flags.predictor !== undefined && { predictor: yield* findPlugin("predictor", flags.predictor) }),
    ...(flags.placement !== undefined && { placement: yield* findPlugin("placement", flags.placement) }),
    ...(flags.batch !== undefined && { rowCountMax: flags.batch }),
    session: {
      ...(flags.ctx !== undefined && { contextLength: flags.ctx }),
      ...(flags.kvType !== undefined && { cacheType: flags.kvType })
    }
  }
  return settings
})

/** Settings with the engine's defaults: everything that a run depends on, to open or to report. */
export const engineOptions = Effect.fnUntraced(function* (model: string, flags: EngineFlags & ProfileFlag) {
  return yield* withDefaults({ ...(yield* engineSettings(model, flags)), profile: flags.profile ?? false })
})

/** Opens the engine in its worker, with progress on standard error. */
export const openFlaggedEngine = Effect.fnUntraced(function* (model: string, flags: EngineFlags & ProfileFlag) {
  return yield* withProgress(
    `Loading ${basename(model)}`,
    Effect.fnUntraced(function* (announce) {
      const options = yield* engineOptions(model, flags)
      return { options, engine: yield* openEngine({ ...options, announce }) }
    })
  )
})

const isCpu = ({ name }: PluginUse) => name === "cpu"

/** `--threads`, `--isa`, `--weights` and `--no-repack` are options of our cpu backend under names of their own; what it is given in its own list wins. */
const backendsOf = Effect.fnUntraced(function* (flags: EngineFlags) {
  const { threads, isa, weights, repack } = flags
  const cpuOptions = {
    ...(threads !== undefined && { threads }),
    ...(isa !== undefined && { isa }),
    ...(weights !== undefined && { weights }),
    ...(repack !== undefined && { repack })
  }
  const named = flags.backend.length > 0 ? flags.backend : ["cpu"]
  const backends = yield* Effect.forEach(named, (text) => findPlugin("backend", text))
  if (Object.keys(cpuOptions).length > 0 && !backends.some(isCpu)) {
    return yield* new InvalidUsage({
      reason: "--threads, --isa, --weights and --no-repack are for the cpu backend, which --backend does not name"
    })
  }
  return backends.map((backend): PluginUse<"backend"> =>
    isCpu(backend)
      ? { kind: "backend", name: "cpu", module: backend.module, options: { ...cpuOptions, ...backend.options } }
      : backend
  )
})

const plugin = ({ name, options }: PluginUse) => ({ name, options })

/** What a report of a run says about how it was made. */
export const settingsJson = (options: Effect.Success<ReturnType<typeof engineOptions>>) => {
  return {
    model: options.model,
    backends: options.backends.map(plugin),
    predictor: plugin(options.predictor),
    placement: plugin(options.placement),
    batch: options.rowCountMax,
    kv_type: options.session?.cacheType ?? "f16"
  }
}
