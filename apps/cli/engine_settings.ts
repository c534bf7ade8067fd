// What does the engine get from the flags and the settings file?
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import { type EngineSettings, openEngine, withDefaults } from "powerinfer"
import { autoBackendTexts, leavesBackendsOpen } from "./auto_backends.ts"
import type { EngineFlags } from "./flags.ts"
import { pluginReport } from "./plugin_report.ts"
import { pluginUses } from "./plugin_uses.ts"
import { knownPlugins } from "./plugins.ts"
import { withProgress } from "./progress.ts"

/** Of the commands that have it. */
interface ProfileFlag {
  readonly profile?: boolean
}

/** Flags, then the settings file; what neither asks for stays open. Fails with `InvalidUsage`, `PluginUnavailable` or `PluginIncompatible`. */
export const engineSettings = Effect.fnUntraced(function* (
  model: string,
  flags: EngineFlags,
  announce: (line: string) => void = announcePlainly
) {
  const { file } = flags
  const backends = leavesBackendsOpen(flags.backend, file) ? yield* autoBackendTexts(model, announce) : flags.backend
  const textsOf = (text: string | undefined) => (text === undefined ? [] : [text])
  const [predictor] = yield* pluginUses("predictor", textsOf(flags.predictor), flags)
  const [placement] = yield* pluginUses("placement", textsOf(flags.placement), flags)
  const rowCountMax = flags.batch ?? file?.batch
  const contextLength = flags.ctx ?? file?.ctx
  const cacheType = flags.kvType ?? file?.kvType
  const checkPlugins = flags.checkPlugins ?? file?.checkPlugins
  const settings: EngineSettings = {
    model,
    known: yield* knownPlugins,
    backends: yield* pluginUses("backend", backends, flags),
    ...(predictor && { predictor }),
    ...(placement && { placement }),
    ...(rowCountMax !== undefined && { rowCountMax }),
    ...(checkPlugins !== undefined && { checkPlugins }),
    session: { ...(contextLength !== undefined && { contextLength }), ...(cacheType && { cacheType }) }
  }
  return settings
})

/** Settings with the engine's defaults: everything that a run depends on, to open or to report. */
export const engineOptions = Effect.fnUntraced(function* (
  model: string,
  flags: EngineFlags & ProfileFlag,
  announce?: (line: string) => void
) {
  return yield* withDefaults({ ...(yield* engineSettings(model, flags, announce)), profile: flags.profile ?? false })
})

const announcePlainly = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

/** Opens the engine in its worker, with progress on standard error. */
export const openFlaggedEngine = Effect.fnUntraced(function* (model: string, flags: EngineFlags & ProfileFlag) {
  return yield* withProgress(
    `Loading ${basename(model)}`,
    Effect.fnUntraced(function* (announce) {
      const options = yield* engineOptions(model, flags, announce)
      return { options, engine: yield* openEngine({ ...options, announce }) }
    })
  )
})

/** What a report of a run says about how it was made. */
export const settingsJson = Effect.fnUntraced(function* (options: Effect.Success<ReturnType<typeof engineOptions>>) {
  return {
    model: options.model,
    backends: yield* Effect.forEach(options.backends, pluginReport),
    predictor: yield* pluginReport(options.predictor),
    placement: yield* pluginReport(options.placement),
    batch: options.rowCountMax,
    kv_type: options.session?.cacheType ?? "f16",
    check_plugins: options.checkPlugins ?? false
  }
})
