// How does libpowerinfer come into being where nobody ships it built?
import { spawn } from "node:child_process"
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { availableParallelism } from "node:os"
import { delimiter, dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import { NativeLibraryError } from "./library.ts"

/** What the file of a shared library is called on this platform. */
export const sharedLibraryName = (name: string): string =>
  process.platform === "win32" ? `${name}.dll` : `lib${name}.${process.platform === "darwin" ? "dylib" : "so"}`

/** Ours. */
export const libraryFileName = sharedLibraryName("powerinfer")

/** Environment variables, as a child process gets them. */
export type Environment = Readonly<Record<string, string | undefined>>

const temporaryInfix = ".building-"

/** One of the libraries that the sources make. */
export interface NativeTarget {
  /** Of CMake's target and of the file: lib<name>.so. */
  readonly name: "powerinfer" | "powerinfer_cuda" | "powerinfer_cuda_simulated"
  /** The environment variable that names a library built elsewhere. */
  readonly variable: string
  /** Folders of the sources that it is not made of: a change there makes no other library. */
  readonly without: ReadonlyArray<string>
  /** Programs that its build needs besides a C++ compiler, and who brings them. */
  readonly tools: ReadonlyArray<{ readonly name: string; readonly commands: ReadonlyArray<string> }>
}

/** libpowerinfer itself. */
export const powerinferTarget: NativeTarget = {
  name: "powerinfer",
  variable: "POWERINFER_LIBRARY",
  without: ["test", "cuda"],
  tools: []
}

/** A build to be made. */
export interface NativeBuild {
  readonly target: NativeTarget
  /** The directory of CMakeLists.txt. */
  readonly sources: string
  /** Where the finished library goes, alone; created by the build, in one step. */
  readonly directory: string
  /** PATH, CXX, CXXFLAGS and LDFLAGS count. */
  readonly environment: Environment
}

/**
 * Compiles the library with CMake and returns its path.
 *
 * It is built in a temporary directory beside the final one and renamed at the end: of several processes that build at once each succeeds,
 * and one that is interrupted leaves nothing behind.
 *
 * - fails  with `NativeLibraryError`: cmake, a compiler or make is missing (named with the package to install), the sources do not compile
 *          (with the compiler's words), or the directory cannot be written
 */
export const buildLibrary = Effect.fnUntraced(function* (build: NativeBuild) {
  const library = join(build.directory, sharedLibraryName(build.target.name))
  const missing = missingTools(build)
  if (missing.length > 0) {
    return yield* new NativeLibraryError({
      path: library,
      reason: `it has to be built, and ${missing.join(" and ")} cannot be found in PATH`,
      remedy: `install what is missing: ${installCommand()}`
    })
  }
  return yield* Effect.acquireUseRelease(
    makeTemporary(build.directory, library),
    (temporary) => compileInto(build, temporary, library),
    (temporary) => Effect.sync(() => rmSync(temporary, { recursive: true, force: true }))
  )
})

const compileInto = Effect.fnUntraced(function* (build: NativeBuild, temporary: string, library: string) {
  const jobs = String(availableParallelism())
  const steps = [
    ["-S", build.sources, "-B", temporary, "-DCMAKE_BUILD_TYPE=Release", "-DPOWERINFER_WARNINGS_ARE_ERRORS=OFF"],
    ["--build", temporary, "--target", build.target.name, "--parallel", jobs]
  ]
  for (const step of steps) {
    const { exitCode, output } = yield* runCmake(step, build.environment)
    if (exitCode !== 0) {
      return yield* new NativeLibraryError({
        path: library,
        reason: `cmake ${step.join(" ")} failed:\n${tellingLines(output)}\n`,
        remedy: `mend that, or set ${build.target.variable} to a library built elsewhere`
      })
    }
  }
  yield* Effect.try({
    try: () => publish(build, temporary),
    catch: (cause) => cannotWrite(library, cause)
  })
  return library
})

/** A directory appears at once or not at all; who loses the race takes the winner's, which is made of the same sources. */
const publish = ({ directory, target }: NativeBuild, temporary: string): void => {
  const file = sharedLibraryName(target.name)
  const finished = join(temporary, "finished")
  mkdirSync(finished)
  renameSync(join(temporary, file), join(finished, file))
  try {
    renameSync(finished, directory)
  } catch (cause) {
    try {
      accessSync(join(directory, file))
    } catch {
      throw cause
    }
  }
}

const makeTemporary = (directory: string, library: string): Effect.Effect<string, NativeLibraryError> =>
  Effect.try({
    try: () => {
      mkdirSync(dirname(directory), { recursive: true })
      removeAbandoned(dirname(directory))
      return mkdtempSync(directory + temporaryInfix)
    },
    catch: (cause) => cannotWrite(library, cause)
  })

/** Far longer than a build takes. */
const abandonedMs = 30 * 60_000

/** What killed builds have left, of whatever version. */
const removeAbandoned = (directory: string): void => {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    if (name.includes(temporaryInfix) && Date.now() - statSync(path).mtimeMs > abandonedMs) {
      rmSync(path, { recursive: true, force: true })
    }
  }
}

const cannotWrite = (library: string, cause: unknown) =>
  new NativeLibraryError({
    path: library,
    reason: `it has to be built, and its directory cannot be written (${cause instanceof Error ? cause.message : String(cause)})`,
    remedy: "make the directory writable, or set XDG_CACHE_HOME to one that is"
  })

/** Runs cmake in a process group of its own, so that an interruption ends the compilers too. */
const runCmake = (
  args: ReadonlyArray<string>,
  environment: Environment
): Effect.Effect<{ readonly exitCode: number | null; readonly output: string }> =>
  Effect.callback((resume) => {
    const child = spawn("cmake", args, { env: { ...environment }, detached: true, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const keep = (chunk: Buffer) => void (output += chunk.toString())
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.on("error", (cause) => resume(Effect.succeed({ exitCode: null, output: cause.message })))
    child.on("close", (exitCode) => resume(Effect.succeed({ exitCode, output })))
    return Effect.callback<void>((ended) => {
      child.on("close", () => ended(Effect.void))
      if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM")
    })
  })

const linesShown = 20

/** From the first error on; if nothing calls itself an error, the end. */
const tellingLines = (output: string): string => {
  const lines = output.trimEnd().split("\n")
  const first = lines.findIndex((line) => /\berror\b/i.test(line))
  return (first === -1 ? lines.slice(-linesShown) : lines.slice(first, first + linesShown)).join("\n")
}

/** Looked for before cmake runs: its own message for a missing compiler is thirty lines long. */
const missingTools = ({ environment, target }: NativeBuild): ReadonlyArray<string> => {
  const compilers = environment["CXX"] ? [environment["CXX"].split(" ")[0]!] : ["c++", "g++", "clang++"]
  const tools = [
    { name: "cmake", commands: ["cmake"] },
    { name: "a C++ compiler", commands: compilers },
    { name: "make", commands: environment["CMAKE_GENERATOR"] ? [] : ["make", "gmake"] },
    ...target.tools
  ]
  const directories = (environment["PATH"] ?? "").split(delimiter)
  return tools
    .filter(({ commands }) => commands.length > 0 && !commands.some((command) => isExecutable(command, directories)))
    .map(({ name }) => name)
}

const isExecutable = (command: string, directories: ReadonlyArray<string>): boolean =>
  // A command with a slash is a path; `join` of an absolute one would hide that.
  (command.includes("/") ? [command] : directories.map((directory) => join(directory, command))).some((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

const installCommand = (): string =>
  process.platform === "darwin"
    ? "xcode-select --install, and brew install cmake"
    : "apt-get install cmake g++ make (Debian, Ubuntu), dnf install cmake gcc-c++ make (Fedora)"
