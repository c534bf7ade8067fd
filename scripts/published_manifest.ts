// What does a package.json of the checkout say once it is published?

/** What we write into our package.json files. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly license?: string
  readonly type?: string
  readonly exports?: Readonly<Record<string, unknown>>
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  /** Plugin kind → plugin name → module. */
  readonly powerinfer?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** A package to publish, and the folder that it is made from. */
export interface PublishedPackage {
  /** From the root, with forward slashes; "" is the root itself. */
  readonly folder: string
  readonly manifest: Manifest
}

/** The folder of the command `powerinfer`, which is published inside the package of that name. */
export const command = "apps/cli"
const nativeName = "@powerinfer/native"

/** "./mod.ts" → "./mod.js"; anything else stays. */
const compiledPath = (path: string): string => path.replace(/\.ts$/, ".js")

/**
 * Everything that is published, from all manifests of the checkout by their folders.
 *
 * The command is part of `powerinfer`, whose dependencies are then everything that comes with it. `@powerinfer/native` has no manifest of its own:
 * native/ does not know who ships it.
 */
export const publishedPackages = (manifests: ReadonlyMap<string, Manifest>): ReadonlyArray<PublishedPackage> => {
  const versions = new Map([...manifests.values()].map(({ name, version }) => [name, version]))
  const core = manifests.get("core")!
  const native: Manifest = {
    name: nativeName,
    version: core.version,
    description: "The sources of libpowerinfer and the headers that native plugins are compiled with",
    license: core.license!
  }
  const compiled = [...manifests]
    .filter(([folder]) => folder !== command)
    .map(([folder, manifest]) => ({ folder, manifest: publishedManifest(folder, manifest, manifests, versions) }))
  return [...compiled, { folder: "native", manifest: native }]
}

const publishedManifest = (
  folder: string,
  manifest: Manifest,
  manifests: ReadonlyMap<string, Manifest>,
  versions: ReadonlyMap<string, string>
): Manifest => {
  const { name, version, description, license, type, exports, bin, powerinfer } = manifest
  return {
    name,
    version,
    ...(description && { description }),
    ...(license && { license }),
    ...(type && { type }),
    ...(exports && { exports: mapValues(exports, publishedDoor) }),
    ...(bin && { bin: mapValues(bin, compiledPath) }),
    ...(powerinfer && { powerinfer: mapValues(powerinfer, (modules) => mapValues(modules, compiledPath)) }),
    ...publishedDependencies(folder, manifest, manifests, versions)
  }
}

const publishedDoor = (target: unknown): unknown =>
  typeof target === "string" && target.endsWith(".ts")
    ? { types: target.replace(/\.ts$/, ".d.ts"), default: compiledPath(target) }
    : target

/**
 * Exact versions of our own packages, which are published together. A plugin takes the core and effect from whoever installs it, because there must
 * be one of each: they come from its peers.
 */
const publishedDependencies = (
  folder: string,
  manifest: Manifest,
  manifests: ReadonlyMap<string, Manifest>,
  versions: ReadonlyMap<string, string>
): Pick<Manifest, "dependencies" | "peerDependencies"> => {
  const exact = mapEntries(manifest.dependencies ?? {}, (name, wanted) =>
    wanted.startsWith("workspace:") ? versions.get(name)! : wanted
  )
  if (folder.startsWith("plugins/")) return { peerDependencies: mapValues(exact, (wanted) => `^${wanted}`) }
  if (folder === "core") return { dependencies: { ...exact, [nativeName]: manifest.version } }
  const plugins = [...manifests]
    .filter(([other]) => other.startsWith("plugins/"))
    .map(([, { name, version }]) => [name, version])
  const ofCommand = mapEntries(
    manifests.get(command)!.dependencies ?? {},
    (name, wanted) => versions.get(name) ?? wanted
  )
  const { [manifest.name]: _itself, ...rest } = { ...ofCommand, ...Object.fromEntries(plugins), ...exact }
  return { dependencies: rest }
}

const mapEntries = <A, B>(record: Readonly<Record<string, A>>, map: (key: string, value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(key, value)]))

const mapValues = <A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> =>
  mapEntries(record, (_key, value) => map(value))
