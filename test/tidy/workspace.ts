// Which packages does the checkout consist of, and which of their files may others import?
import { posix } from "node:path"
import type { Files } from "./source_scan.ts"

/** One package.json of ours. */
export interface WorkspacePackage {
  readonly name: string
  /** Its folder relative to the root; "" for the root itself. */
  readonly folder: string
  /** What others import → path from the root: "@powerinfer/core" → "core/mod.ts". Data files are left out. */
  readonly doors: ReadonlyMap<string, string>
  /** Files that are started rather than imported, as paths from the root. */
  readonly programs: ReadonlyArray<string>
  /** Everything it may import by name → version, development dependencies included. */
  readonly dependencies: ReadonlyMap<string, string>
  /** The part of `dependencies` that its users need too. */
  readonly shippedDependencies: ReadonlyMap<string, string>
}

interface Manifest {
  readonly name?: string
  readonly exports?: Readonly<Record<string, string>>
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** Every package of the checkout. */
export const packagesOf = (files: Files): ReadonlyArray<WorkspacePackage> =>
  [...files].filter(([path]) => posix.basename(path) === "package.json").map(([path, text]) => readPackage(path, text))

const readPackage = (path: string, text: string): WorkspacePackage => {
  const manifest = JSON.parse(text) as Manifest
  const name = manifest.name ?? path
  const folder = posix.dirname(path) === "." ? "" : posix.dirname(path)
  const fromRoot = (target: string) => posix.normalize(posix.join(folder, target))
  const doors = Object.entries(manifest.exports ?? {}).filter(([, target]) => !target.endsWith(".json"))
  const shipped = { ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies }
  return {
    name,
    folder,
    doors: new Map(doors.map(([door, target]) => [posix.join(name, door), fromRoot(target)])),
    programs: Object.values(manifest.bin ?? {}).map(fromRoot),
    dependencies: new Map(Object.entries({ ...shipped, ...manifest.devDependencies })),
    shippedDependencies: new Map(Object.entries(shipped))
  }
}

/** Written as somebody else would write it: outside the workspace, with our packages from a registry. */
export const isStrangers = ({ folder }: WorkspacePackage): boolean => folder.startsWith("examples/")

/** The package whose folder holds the file most closely. */
export const packageOfFile = (packages: ReadonlyArray<WorkspacePackage>, path: string): WorkspacePackage | undefined =>
  packages
    .filter(({ folder }) => folder === "" || path.startsWith(`${folder}/`))
    .sort((a, b) => b.folder.length - a.folder.length)[0]

/** "effect/Schema" → "effect"; "@powerinfer/core/testing" → "@powerinfer/core". */
export const packageName = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/")
