// powerinfer plugin build: the kernels of a plugin become libraries that `nativeKernels` finds.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, parse, relative } from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import { attemptWrite, nativeKernels, NativeLibraryError, nativeSources } from "powerinfer"
import { InvalidUsage } from "../invalid_usage.ts"
import { print } from "../output.ts"

export interface PluginBuildInput {
  readonly plugin: string
  readonly prebuilt: boolean
}

/** How sources of one language are compiled to a library. */
interface Compiler {
  /** The first that is there is taken. */
  readonly commands: ReadonlyArray<string>
  readonly flags: (prebuilt: boolean) => ReadonlyArray<string>
  readonly remedy: string
}

/** From an environment variable, as make reads it: "ccache gcc" is two words. */
const words = (variable: string): ReadonlyArray<string> =>
  (process.env[variable] ?? "").split(" ").filter((word) => word !== "")

/** What is built for this machine may use all that its CPU has; what is published may not. */
const machineFlags: Readonly<Record<string, ReadonlyArray<string>>> = {
  x64: ["-march=native"],
  arm64: ["-mcpu=native"]
}

const cFlags = (prebuilt: boolean): ReadonlyArray<string> => [
  "-O3",
  "-shared",
  "-fPIC",
  "-fvisibility=hidden",
  `-I${join(nativeSources, "include")}`,
  ...(prebuilt ? [] : (machineFlags[process.arch] ?? []))
]

const compilers: Readonly<Record<string, Compiler>> = {
  ".c": {
    commands: [...words("CC").slice(0, 1), "cc", "gcc", "clang"],
    flags: (prebuilt) => [...words("CC").slice(1), ...cFlags(prebuilt), ...words("CFLAGS")],
    remedy: "install a C compiler (Debian: apt-get install gcc), or set CC to one"
  },
  ".cc": {
    commands: [...words("CXX").slice(0, 1), "c++", "g++", "clang++"],
    flags: (prebuilt) => [...words("CXX").slice(1), ...cFlags(prebuilt), ...words("CXXFLAGS")],
    remedy: "install a C++ compiler (Debian: apt-get install g++), or set CXX to one"
  },
  ".rs": {
    commands: ["rustc"],
    flags: (prebuilt) => [
      "--edition=2021",
      "--crate-type=cdylib",
      "-Copt-level=3",
      ...(prebuilt ? [] : ["-Ctarget-cpu=native"]),
      ...words("RUSTFLAGS")
    ],
    remedy: "install Rust (https://rustup.rs)"
  }
}

/**
 * Compiles every kernels/NAME.c, .cc or .rs of the package and prints where the libraries are. Each appears when it is complete.
 *
 * - fails  with `InvalidUsage` (no such package, nothing to build), `NativeLibraryError` (no compiler, or its words), `FileUnwritable`
 */
export const pluginBuild = Effect.fnUntraced(function* (input: PluginBuildInput) {
  const folder = yield* locatePackage(input.plugin)
  const kernels = join(folder, "kernels")
  const sources = (existsSync(kernels) ? readdirSync(kernels) : [])
    .filter((file) => parse(file).ext in compilers)
    .sort()
  if (sources.length === 0) {
    const reason = `there is nothing to build in ${kernels}; a kernel is NAME${Object.keys(compilers).join(", NAME")}`
    return yield* new InvalidUsage({ reason })
  }
  for (const source of sources) {
    const library = yield* buildKernel(folder, join(kernels, source), input.prebuilt)
    yield* print(`Built ${relative(process.cwd(), library)}\n`)
  }
})

/** A folder by its path, or the installed package of that name. */
const locatePackage = (plugin: string): Effect.Effect<string, InvalidUsage> =>
  Effect.try({
    try: () =>
      existsSync(join(plugin, "package.json"))
        ? realpathSync(plugin)
        : dirname(createRequire(join(process.cwd(), "package.json")).resolve(`${plugin}/package.json`)),
    catch: () =>
      new InvalidUsage({ reason: `${plugin} is neither a folder with a package.json nor a package installed here` })
  })

const buildKernel = Effect.fnUntraced(function* (folder: string, source: string, prebuilt: boolean) {
  const { name, ext } = parse(source)
  const module = pathToFileURL(join(folder, "mod.ts")).href
  const [shipped, built] = nativeKernels({ module, name }).candidates
  const library = (prebuilt ? shipped : built)!
  const temporary = `${library}.${process.pid}.tmp`
  yield* attemptWrite(library, () => mkdirSync(dirname(library), { recursive: true }))
  yield* compile(compilers[ext]!, source, temporary, library, prebuilt).pipe(
    Effect.andThen(attemptWrite(library, () => renameSync(temporary, library))),
    Effect.ensuring(Effect.sync(() => rmSync(temporary, { force: true })))
  )
  return library
})

const compile = (compiler: Compiler, source: string, temporary: string, library: string, prebuilt: boolean) =>
  Effect.suspend(() => {
    const args = [...compiler.flags(prebuilt), source, "-o", temporary]
    for (const command of compiler.commands) {
      const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" })
      if (error && "code" in error && error.code === "ENOENT") continue
      if (status === 0) return Effect.void
      const said = error?.message ?? `${stdout}${stderr}`.trimEnd()
      const reason = `${[command, ...args].join(" ")} failed:\n${said}\n`
      return Effect.fail(new NativeLibraryError({ path: library, reason, remedy: "mend that and build again" }))
    }
    const reason = `it has to be built, and none of ${compiler.commands.join(", ")} is in PATH`
    return Effect.fail(new NativeLibraryError({ path: library, reason, remedy: compiler.remedy }))
  })
