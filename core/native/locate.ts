// Where is the native library of this version, and if it is nowhere, where is it to be built?
import { createHash } from "node:crypto"
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { homedir } from "node:os"
import { dirname, join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { buildLibrary, type Environment, type NativeTarget, powerinferTarget, sharedLibraryName } from "./build.ts"
import { NativeLibraryError } from "./library.ts"
import { makeOnce } from "./make_once.ts"

/** A library's path and what led there. */
export interface LocatedLibrary {
  readonly path: string
  readonly origin: "environment" | "package" | "cache" | "built"
}

/** What may be told otherwise than by the surroundings. */
export interface LocateOptions {
  /** Which library; by default libpowerinfer. */
  readonly target?: NativeTarget
  /** Instead of `process.env`. */
  readonly environment?: Environment
  /** The directory of the library's CMakeLists.txt; by default that of this checkout. */
  readonly sources?: string
  /** One line for people when a build begins; by default to standard error. */
  readonly announce?: (line: string) => void
}

/** The directory of the library's sources, and of the headers that native plugins are compiled with: beside core, in a checkout and among packages. */
export const nativeSources = fileURLToPath(new URL("../../native", import.meta.url))

/** The package that brings a library built, where one is installed. */
const platformPackage = ({ name }: NativeTarget): string =>
  `@powerinfer/native${name.slice("powerinfer".length).replaceAll("_", "-")}-${process.platform}-${process.arch}`

/**
 * Finds the library where it is, and builds nothing.
 *
 * In this order: the file that the target's variable (POWERINFER_LIBRARY) names; the platform's package; the cached build of exactly these sources, in
 * `build/native` of the checkout or in `$XDG_CACHE_HOME/powerinfer/native`.
 *
 * - cost     about 5 ms: reads the sources for their hash and starts no process
 * - returns  undefined where it is nowhere
 * - fails    with `NativeLibraryError` if the variable names a file that does not exist
 */
export const findLibrary = Effect.fnUntraced(function* (
  options: LocateOptions = {}
): Effect.fn.Return<LocatedLibrary | undefined, NativeLibraryError> {
  const { environment, target, sources } = withDefaults(options)
  const named = environment[target.variable]
  if (named) {
    if (existsSync(named)) return { path: named, origin: "environment" }
    return yield* new NativeLibraryError({
      path: named,
      reason: `${target.variable} names it, but there is no such file`,
      remedy: "correct the variable, or unset it to have the library built"
    })
  }
  const packaged = packagedLibrary(target)
  if (packaged !== undefined) return { path: packaged, origin: "package" }
  if (!hasSources(sources)) return undefined
  const cached = buildDirectories(target, sources, environment)
    .map(({ directory }) => join(directory, sharedLibraryName(target.name)))
    .find((path) => existsSync(path))
  return cached === undefined ? undefined : { path: cached, origin: "cache" }
})

/**
 * Finds the library as `findLibrary` does, or builds it: into the first of the places for builds that can be written. Of several processes or threads
 * that need one at the same time, one builds and the others wait for it.
 *
 * - cost   of a build: about a minute, once
 * - fails  with `NativeLibraryError` if there is nothing to load and nothing to build from, or the build fails
 */
export const locateLibrary = Effect.fnUntraced(function* (
  options: LocateOptions = {}
): Effect.fn.Return<LocatedLibrary, NativeLibraryError> {
  const found = yield* findLibrary(options)
  if (found !== undefined) return found
  const { environment, target, sources } = withDefaults(options)
  const file = sharedLibraryName(target.name)
  if (!hasSources(sources)) {
    return yield* new NativeLibraryError({
      path: file,
      reason: `the package ${platformPackage(target)} is not installed, and there are no sources to build it from in ${sources}`,
      remedy: `install ${platformPackage(target)}, or set ${target.variable}`
    })
  }
  const directories = buildDirectories(target, sources, environment)
  const { directory } = directories.find(({ writable }) => writable) ?? directories.at(-1)!
  const path = join(directory, file)
  const announce = options.announce ?? ((line: string) => console.error(line))
  const built = yield* makeOnce({
    lock: `${directory}.lock`,
    isMade: () => existsSync(path),
    make: Effect.suspend(() => {
      announce(
        `building ${target === powerinferTarget ? "the native library" : file}, once for this version: ${directory}`
      )
      return buildLibrary({ target, sources, directory, environment })
    }),
    onWait: () => announce(`waiting for another process to build the native library: ${directory}`)
  })
  return { path, origin: built ? "built" : "cache" }
})

const withDefaults = ({
  environment = process.env,
  target = powerinferTarget,
  sources = nativeSources
}: LocateOptions) => ({ environment, target, sources })

const hasSources = (sources: string): boolean => existsSync(join(sources, "CMakeLists.txt"))

const packagedLibrary = (target: NativeTarget): string | undefined => {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${platformPackage(target)}/package.json`)
    const library = join(dirname(manifest), sharedLibraryName(target.name))
    return existsSync(library) ? library : undefined
  } catch {
    return undefined
  }
}

/** Of this build, by its key: a checkout's own, if it may be written; else, and always as the second place to look, the user's cache. */
const buildDirectories = (target: NativeTarget, sources: string, environment: Environment) => {
  const checkout = dirname(sources)
  const key = `${target === powerinferTarget ? "" : `${target.name}-`}${buildKey(target, sources, environment)}`
  // An installed package is not ours to write into.
  const writable = !sources.split(sep).includes("node_modules") && isWritable(checkout)
  return [
    { directory: join(checkout, "build", "native", key), writable },
    { directory: join(cacheHome(environment), "powerinfer", "native", key), writable: true }
  ]
}

/** The user's cache directory (XDG Base Directory Specification). */
export const cacheHome = (environment: Environment = process.env): string =>
  environment["XDG_CACHE_HOME"] || join(homedir(), ".cache")

const isWritable = (directory: string): boolean => {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Names a build by everything that was asked of it: sources, compiler, flags, platform. The compiler counts as the user names it, not as it is
 * installed: a built library stays good when a compiler is updated or removed.
 */
const buildKey = (target: NativeTarget, sources: string, environment: Environment): string => {
  const hash = createHash("sha256")
  const part = (bytes: string | Uint8Array) => hash.update(`${bytes.length}:`).update(bytes)
  for (const asked of ["CXX", "CXXFLAGS", "LDFLAGS", "CUDACXX"]) part(environment[asked] ?? "")
  part(`${process.platform}-${process.arch}`)
  for (const file of sourceFiles(sources, target.without)) {
    part(file)
    part(readFileSync(join(sources, file)))
  }
  return hash.digest("hex").slice(0, 16)
}

/** Paths of all files below `folder` but for those of the folders `without`, from `sources` on, in a fixed order. */
const sourceFiles = (sources: string, without: ReadonlyArray<string>, folder = ""): ReadonlyArray<string> =>
  readdirSync(join(sources, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return without.includes(path) ? [] : sourceFiles(sources, without, path)
      return entry.isFile() ? [path] : []
    })
