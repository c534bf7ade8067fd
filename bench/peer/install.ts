// Where does llama.cpp come from? Its libraries from npm, its headers from the same package, and a small program of ours that links to them.
//
// Everything goes to build/peer and is fetched once. Nothing else of the project needs any of it.
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import type { BackendFailure } from "@powerinfer/core"
import { Effect } from "effect"
import { peerFailure } from "./peer_process.ts"

/** Of node-llama-cpp and its binaries: llama.cpp 0.5.0. */
const packageVersion = "3.22.1"
const binaries = "@node-llama-cpp/linux-x64"

const root = join(import.meta.dirname, "..", "..")
const directory = join(root, "build", "peer")
const libraries = join(directory, "node_modules", binaries, "bins", "linux-x64")
const bundle = join(directory, "node_modules", "node-llama-cpp", "llama", "gitRelease.bundle")
const sources = join(directory, "llama.cpp")
const program = join(directory, "llama_cpp")

/** The command of peer/llama_cpp.c for a model. */
export type PeerCommand = (model: string, threads: number, contextLength: number) => ReadonlyArray<string>

/**
 * Fetches llama.cpp where it is not there yet (30 MB of libraries, 35 MB of git bundle), and compiles our program.
 *
 * - fails  `BackendFailure` on another platform than linux-x64, and where npm, git or a C compiler is missing or fails
 */
export const installPeer = Effect.fnUntraced(function* (
  announce: (line: string) => void
): Effect.fn.Return<PeerCommand, BackendFailure> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return yield* peerFailure(
      `its libraries are fetched for linux-x64 only, this is ${process.platform}-${process.arch}`
    )
  }
  const compiler = process.env["CC"] ?? "cc"
  const missing = ["npm", "git", compiler].filter((tool) => !isInPath(tool))
  if (missing.length > 0) {
    return yield* peerFailure(`${missing.join(", ")} cannot be found in PATH; install it, or leave out --peer`)
  }
  if (!existsSync(libraries) || !existsSync(bundle)) yield* fetchPackages(announce)
  if (!existsSync(sources)) yield* unpackHeaders
  yield* compile(compiler)
  return (model, threads, contextLength) => [program, libraries, model, String(threads), String(contextLength)]
})

const fetchPackages = Effect.fnUntraced(function* (announce: (line: string) => void) {
  announce(`Fetching llama.cpp (node-llama-cpp ${packageVersion}) from npm into build/peer`)
  mkdirSync(directory, { recursive: true })
  const dependencies = { "node-llama-cpp": packageVersion, [binaries]: packageVersion }
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, dependencies }))
  // Without the optional packages: binaries for other platforms and for GPUs, 700 MB of them.
  const flags = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--no-package-lock"]
  yield* run("npm", ["install", ...flags], directory)
})

/** The package carries the sources its binaries were made of. */
const unpackHeaders = Effect.suspend(() => {
  const partial = `${sources}.${process.pid}.tmp`
  rmSync(partial, { recursive: true, force: true })
  return run("git", ["clone", "--quiet", "--no-checkout", bundle, partial], directory).pipe(
    Effect.andThen(run("git", ["checkout", "--quiet", "HEAD", "--", "include", "ggml/include"], partial)),
    Effect.andThen(Effect.sync(() => renameSync(partial, sources)))
  )
})

/** Half a second; so it is never out of date. */
const compile = (compiler: string) =>
  Effect.suspend(() => {
    const partial = `${program}.${process.pid}.tmp`
    // libllama.v0.5.0.so and libggml.v0.5.0.so, whichever version the package has.
    const linked = readdirSync(libraries).filter(
      (name) => /^lib(llama|ggml)\.v.*\.so$/.test(name) || name === "libggml-base.so"
    )
    const headers = [join(sources, "include"), join(sources, "ggml", "include")]
    const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", ...headers.map((path) => `-I${path}`)]
    const libraryFlags = [`-L${libraries}`, ...linked.map((name) => `-l:${name}`), `-Wl,-rpath,${libraries}`]
    return run(
      compiler,
      [...flags, join(root, "bench", "peer", "llama_cpp.c"), ...libraryFlags, "-o", partial],
      root
    ).pipe(Effect.andThen(Effect.sync(() => renameSync(partial, program))))
  })

const isInPath = (tool: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((path) => existsSync(join(path, tool)))

const outputLinesShown = 20

/** Runs a command to its end. Fails with the last lines of what it printed. */
const run = (command: string, args: ReadonlyArray<string>, cwd: string): Effect.Effect<void, BackendFailure> =>
  Effect.callback((resume) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const keep = (chunk: Buffer) => void (output += chunk.toString())
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.on("error", (cause) => resume(Effect.fail(peerFailure(`${command}: ${cause.message}`))))
    child.on("close", (code) => {
      const words = output.trimEnd().split("\n").slice(-outputLinesShown).join("\n")
      resume(code === 0 ? Effect.void : Effect.fail(peerFailure(`${command} ${args[0]} failed:\n${words}`)))
    })
    return Effect.sync(() => void child.kill())
  })
