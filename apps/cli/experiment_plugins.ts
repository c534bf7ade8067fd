// Which plugins and options does an experiment run with? Every list of options is spread out, every file that is named has been read.
import { createHash } from "node:crypto"
import { createReadStream, existsSync, statSync } from "node:fs"
import { resolve } from "node:path"
import * as Effect from "effect/Effect"
import {
  decodeOptions,
  type ExperimentPlugin,
  FileUnreadable,
  importPlugin,
  type PluginKind,
  type PluginUse
} from "powerinfer"
import { expandOptions, type PluginGrid } from "./experiment_file.ts"
import { findPlugin } from "./find_plugin.ts"
import { InvalidUsage } from "./invalid_usage.ts"
import { modulePath } from "./module_package.ts"
import { pluginReport } from "./plugin_report.ts"

/**
 * Every way a section names: its plugin with each choice of its options.
 *
 * - `folder`  paths among the options are meant from here
 * - fails     with `InvalidUsage` that names the place, `PluginUnavailable`, `PluginIncompatible`, `FileUnreadable`
 */
export const expandPlugins = Effect.fnUntraced(function* <Kind extends PluginKind>(
  kind: Kind,
  { use: text, options, place }: PluginGrid,
  folder: string
) {
  const named = yield* findPlugin(kind, text).pipe(
    Effect.mapError((error) => (error._tag === "PluginUnavailable" ? misplaced(place, error.message) : error))
  )
  // A module of one's own changes more often than its version does.
  const ownModule = /[\\/]|\.[cm]?[jt]s$/.test(text) ? modulePath(named.module) : undefined
  return yield* Effect.forEach(
    expandOptions(options),
    Effect.fnUntraced(function* (chosen) {
      const found = yield* findFiles({ ...named.options, ...chosen }, folder, place)
      const use: PluginUse<Kind> = { ...named, options: found.options }
      const files = ownModule === undefined ? found.paths : [...found.paths, ownModule]
      const plugin = yield* importPlugin(kind, named.name, named.module)
      yield* decodeOptions(plugin, use.options).pipe(Effect.mapError(({ message }) => misplaced(place, message)))
      return yield* describePlugin(use, files)
    })
  )
})

/** A plugin as an experiment has it. */
export const describePlugin = Effect.fnUntraced(function* <Kind extends PluginKind>(
  use: PluginUse<Kind>,
  paths: ReadonlyArray<string> = []
) {
  const { name, version, options } = yield* pluginReport(use)
  const hashes = yield* Effect.forEach(paths, (path) => Effect.map(hashFile(path), (sha256) => [path, sha256] as const))
  const described: ExperimentPlugin<Kind> = {
    use,
    used: { name, version, options },
    files: Object.fromEntries(hashes)
  }
  return described
})

/** A Schema's message says the place within on a line of its own. */
const misplaced = (place: string, reason: string) =>
  new InvalidUsage({ reason: `${place}: ${reason.replaceAll(/\s*\n\s*/g, " ")}` })

/** What may be the name of a file in an option, which may also be the text of another plugin: then:propose=(a:file=b.gguf). */
const fileNames = /[^\s:()=,;"'{}]+\.[A-Za-z][A-Za-z0-9_]*/g
/** A value that can be nothing else. */
const isFileName = /^[^\s:()=,;"'{}]+\.(gguf|json|arrow|npy|bin|toml)$/

/** Options with the paths of files that exist made whole, and these paths. Fails where a file is named that is not there. */
const findFiles = Effect.fnUntraced(function* (
  options: Readonly<Record<string, unknown>>,
  folder: string,
  place: string
) {
  const paths = new Set<string>()
  const isFile = (path: string) => existsSync(path) && statSync(path).isFile()
  const found: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(options)) {
    if (typeof value !== "string") {
      found[key] = value
      continue
    }
    if (isFileName.test(value) && !isFile(resolve(folder, value))) {
      return yield* misplaced(`${place}.options.${key}`, `there is no file ${resolve(folder, value)}`)
    }
    found[key] = value.replaceAll(fileNames, (name) => {
      const path = resolve(folder, name)
      if (!isFile(path)) return name
      paths.add(path)
      return path
    })
  }
  return { options: found, paths: [...paths] }
})

const hashFile = (path: string) =>
  Effect.tryPromise({
    try: async () => {
      const hash = createHash("sha256")
      for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
      return hash.digest("hex")
    },
    catch: (cause) => new FileUnreadable({ path, reason: (cause as Error).message })
  })
