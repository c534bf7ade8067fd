// Which plugins does a project have? Read from package.json files: no plugin runs before somebody names it.
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type PluginKind, pluginKinds, type PluginUse } from "../plugin.ts"
import { PluginUnavailable } from "./plugin_error.ts"

/** A plugin as its package announces it. */
export interface PluginListing<Kind extends PluginKind = PluginKind> {
  readonly kind: Kind
  readonly name: string
  readonly package: string
  readonly version: string
  /** The versions of @powerinfer/core that the package asks for. */
  readonly engine: string | undefined
  /** URL of the module that default-exports it. */
  readonly module: string
}

/** What a project has, and which of its packages announce something that cannot be read. */
export interface DiscoveredPlugins {
  readonly plugins: ReadonlyArray<PluginListing>
  readonly problems: ReadonlyArray<{ readonly package: string; readonly reason: string }>
}

const Versions = Schema.Record(Schema.String, Schema.String)

/** Of a package.json, what matters here. `powerinfer` is kind → name → module: `{ "predictor": { "hash_rows": "./mod.ts" } }`. */
const Manifest = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.String),
  dependencies: Schema.optionalKey(Versions),
  devDependencies: Schema.optionalKey(Versions),
  peerDependencies: Schema.optionalKey(Versions),
  optionalDependencies: Schema.optionalKey(Versions),
  workspaces: Schema.optionalKey(Schema.Array(Schema.String)),
  powerinfer: Schema.optionalKey(Schema.Record(Schema.Literals(pluginKinds), Schema.optionalKey(Versions)))
})
type Manifest = typeof Manifest.Type

/** The nearest directory with a package.json, from `start` upwards; undefined: none. */
export const projectDirectory = (start: string): string | undefined => {
  for (const directory of upwards(start)) if (existsSync(join(directory, "package.json"))) return directory
  return undefined
}

/**
 * Finds the plugins of the package in `directory`: its own, those of its direct dependencies, and those of its workspace.
 *
 * A dependency that is not installed has none: the package manager says so better than we could.
 *
 * - cost  reads one package.json a dependency: some 50 µs each
 */
export const discoverPlugins = (directory: string): Effect.Effect<DiscoveredPlugins> =>
  Effect.sync(() => {
    const plugins = new Map<string, PluginListing>()
    const problems: Array<DiscoveredPlugins["problems"][number]> = []
    const project = readManifest(directory)
    const folders = [directory]
    if (project._tag === "Success") {
      folders.push(...memberFolders(directory, project.success.workspaces ?? []))
      for (const name of dependenciesOf(project.success)) folders.push(...dependencyFolder(directory, name))
    }
    for (const folder of folders) {
      const manifest = readManifest(folder)
      if (manifest._tag === "Failure") problems.push({ package: folder, reason: manifest.failure })
      else for (const listing of listingsOf(folder, manifest.success)) plugins.set(listing.module, listing)
    }
    return { plugins: [...plugins.values()], problems }
  })

/**
 * The plugin of that name among those found, to open without options.
 *
 * - fails  `PluginUnavailable`: there is none, with the names that there are; or several packages have one
 */
export const pickPlugin = <Kind extends PluginKind>(
  plugins: ReadonlyArray<PluginListing>,
  kind: Kind,
  name: string
): Effect.Effect<PluginUse<Kind>, PluginUnavailable> => {
  const ofKind = plugins.filter((listing) => listing.kind === kind)
  const [found, ...others] = ofKind.filter((listing) => listing.name === name || listing.package === name)
  if (found && others.length === 0) {
    return Effect.succeed({ kind, name: found.name, module: found.module, options: {} })
  }
  const reason = found
    ? `${[found, ...others].map((listing) => `${listing.package} (${listing.name})`).join(" and ")} answer to that name; name the ${found.package === name ? "plugin" : "package"}`
    : `there is none of that name; there are ${ofKind.map((listing) => listing.name).join(", ") || "none"}`
  return Effect.fail(new PluginUnavailable({ kind, name, reason }))
}

function* upwards(start: string): Generator<string> {
  for (let directory = start; ; directory = dirname(directory)) {
    yield directory
    if (dirname(directory) === directory) return
  }
}

const decodeManifest = Schema.decodeUnknownResult(Schema.fromJsonString(Manifest))

const readManifest = (folder: string): Result.Result<Manifest, string> => {
  const path = join(folder, "package.json")
  try {
    return Result.mapError(decodeManifest(readFileSync(path, "utf8")), ({ message }) => `${path}: ${message}`)
  } catch (cause) {
    return Result.fail(cause instanceof Error ? cause.message : String(cause))
  }
}

const dependenciesOf = (manifest: Manifest): ReadonlyArray<string> => [
  ...new Set(
    [manifest.dependencies, manifest.optionalDependencies, manifest.peerDependencies, manifest.devDependencies].flatMap(
      (versions) => Object.keys(versions ?? {})
    )
  )
]

/** As modules are resolved: in the nearest node_modules above that has it. */
const dependencyFolder = (directory: string, name: string): ReadonlyArray<string> => {
  for (const above of upwards(realpathSync(directory))) {
    const folder = join(above, "node_modules", name)
    if (existsSync(join(folder, "package.json"))) return [realpathSync(folder)]
  }
  return []
}

// A block comment cannot hold such a pattern. "plugins/*/*": every folder with a package.json that it means; a star stands for one name.
const memberFolders = (directory: string, patterns: ReadonlyArray<string>): ReadonlyArray<string> =>
  patterns.flatMap((pattern) => {
    let folders = [directory]
    for (const part of pattern.split("/")) {
      folders = folders.flatMap((folder) =>
        part === "*" ? foldersIn(folder).map((name) => join(folder, name)) : [join(folder, part)]
      )
    }
    return folders.filter((folder) => existsSync(join(folder, "package.json"))).sort()
  })

const foldersIn = (folder: string): ReadonlyArray<string> =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
    : []

const listingsOf = (folder: string, manifest: Manifest): ReadonlyArray<PluginListing> =>
  pluginKinds.flatMap((kind) =>
    Object.entries(manifest.powerinfer?.[kind] ?? {}).map(([name, path]) => ({
      kind,
      name,
      package: manifest.name ?? folder,
      version: manifest.version ?? "0.0.0",
      engine: manifest.peerDependencies?.["@powerinfer/core"] ?? manifest.dependencies?.["@powerinfer/core"],
      module: pathToFileURL(join(folder, path)).href
    }))
  )
