// Goal: the library is found in the promised order, built where it is not, and every obstacle is named.
// Method: a tree with the shape of a checkout and a native library of one line, so that real builds take seconds.
import { describe, expect, test } from "bun:test"
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect, Fiber } from "effect"
import { libraryFileName } from "../../core/native/build.ts"
import { type LocateOptions, locateLibrary } from "../../core/native/locate.ts"
import { abiVersion, checkAbiVersion } from "../../core/native/powerinfer.ts"
import { compiler, scratch } from "./tiny_library.ts"

const directory = scratch("locate")
const cmake = Bun.which("cmake")
const canBuild = compiler !== null && cmake !== null

/** A checkout with a library of `source`, and the options that keep `locateLibrary` inside it. */
const checkout = (source = `extern "C" unsigned powerinfer_abi_version() { return ${abiVersion}; }`) => {
  const root = mkdtempSync(join(directory, "checkout-"))
  const sources = join(root, "native")
  mkdirSync(join(sources, "test"), { recursive: true })
  writeFileSync(
    join(sources, "CMakeLists.txt"),
    // Without a soname: loaded into this process, it must not pass for the real one.
    "cmake_minimum_required(VERSION 3.20)\nproject(powerinfer LANGUAGES CXX)\nadd_library(powerinfer SHARED abi.cc)\n" +
      "set_target_properties(powerinfer PROPERTIES NO_SONAME ON)\n"
  )
  writeFileSync(join(sources, "abi.cc"), source)
  const announced: Array<string> = []
  const environment = { PATH: process.env["PATH"], XDG_CACHE_HOME: join(root, "cache") }
  const options = {
    sources,
    environment,
    announce: (line: string) => void announced.push(line)
  } satisfies LocateOptions
  return { root, sources, options, announced, builds: join(root, "build", "native") }
}

const failureOf = (options: LocateOptions) => Effect.runPromise(Effect.flip(locateLibrary(options)))

describe("locateLibrary", () => {
  test("takes the file that POWERINFER_LIBRARY names before anything else", async () => {
    const { options } = checkout()
    const environment = { ...options.environment, POWERINFER_LIBRARY: import.meta.path }
    expect(await Effect.runPromise(locateLibrary({ ...options, environment }))).toEqual({
      path: import.meta.path,
      origin: "environment"
    })
  })
  test("refuses a POWERINFER_LIBRARY that does not exist instead of building", async () => {
    const failure = await failureOf({ environment: { POWERINFER_LIBRARY: "/absent/lib.so" } })
    expect(failure.message).toContain("POWERINFER_LIBRARY names it, but there is no such file")
  })
  test("names the package to install where there are no sources", async () => {
    const failure = await failureOf({ environment: {}, sources: "/absent" })
    expect(failure.remedy).toContain(`@powerinfer/native-${process.platform}-${process.arch}`)
  })
  test("names cmake, the compiler and make, and how to install them, where PATH has none", async () => {
    const { options } = checkout()
    const failure = await failureOf({ ...options, environment: { ...options.environment, PATH: "/absent" } })
    expect(failure.reason).toContain("cmake and a C++ compiler and make cannot be found in PATH")
    expect(failure.remedy).toMatch(/apt-get install cmake g\+\+|xcode-select --install/)
  })
  test.skipIf(!canBuild)("names only the compiler where CXX names one that does not exist", async () => {
    const { options } = checkout()
    const failure = await failureOf({ ...options, environment: { ...options.environment, CXX: "absent-c++" } })
    expect(failure.reason).toContain("and a C++ compiler cannot be found in PATH")
  })
})

describe.skipIf(!canBuild)("locateLibrary with a compiler", () => {
  test("builds once, announces it in one line, and then finds what it built", async () => {
    const { options, announced, builds } = checkout()
    const built = await Effect.runPromise(locateLibrary(options))
    expect(built.origin).toBe("built")
    expect(dirname(dirname(built.path))).toBe(builds)
    expect(announced).toEqual([expect.stringContaining("building the native library")])
    await Effect.runPromise(checkAbiVersion(built.path))

    expect(await Effect.runPromise(locateLibrary(options))).toEqual({ path: built.path, origin: "cache" })
    expect(announced).toHaveLength(1)
    expect(readdirSync(builds)).toHaveLength(1)
    expect(readdirSync(dirname(built.path))).toEqual([libraryFileName])

    // A cached build serves a machine without a compiler; another compiler or other flags ask for another build.
    const bare = { ...options, environment: { ...options.environment, PATH: "/absent" } }
    expect((await Effect.runPromise(locateLibrary(bare))).origin).toBe("cache")
    const flagged = { ...bare, environment: { ...bare.environment, CXXFLAGS: "-O1" } }
    expect((await failureOf(flagged)).reason).toContain("it has to be built")
  }, 60_000)

  test("ignores changes of the tests and of other libraries, and builds again after a change of the sources", async () => {
    const { options, sources } = checkout()
    const first = await Effect.runPromise(locateLibrary(options))
    writeFileSync(join(sources, "test", "abi_test.cc"), "int main() {}")
    mkdirSync(join(sources, "cuda", "kernels"), { recursive: true })
    writeFileSync(join(sources, "cuda", "kernels", "merge.cu"), "")
    expect(await Effect.runPromise(locateLibrary(options))).toEqual({ path: first.path, origin: "cache" })
    writeFileSync(join(sources, "abi.cc"), `extern "C" unsigned powerinfer_abi_version() { return ${abiVersion + 1}; }`)
    const second = await Effect.runPromise(locateLibrary(options))
    expect(second.origin).toBe("built")
    expect(second.path).not.toBe(first.path)
  }, 60_000)

  test("builds into the user's cache where the sources lie in an installed package", async () => {
    const { options, root, sources } = checkout()
    const installed = join(root, "node_modules", "powerinfer")
    mkdirSync(installed, { recursive: true })
    await Bun.$`cp -r ${sources} ${installed}`.quiet()
    const built = await Effect.runPromise(locateLibrary({ ...options, sources: join(installed, "native") }))
    expect(built.path).toStartWith(join(root, "cache", "powerinfer", "native"))
  }, 60_000)

  test("builds in one process while the others that need the library wait for it", async () => {
    const { options, builds, announced } = checkout()
    const all = await Promise.all([1, 2, 3].map(() => Effect.runPromise(locateLibrary(options))))
    expect(new Set(all.map(({ path }) => path)).size).toBe(1)
    expect(all.map(({ origin }) => origin).sort()).toEqual(["built", "cache", "cache"])
    expect(announced.filter((line) => line.startsWith("building"))).toHaveLength(1)
    expect(announced.filter((line) => line.startsWith("waiting"))).toHaveLength(2)
    expect(readdirSync(builds)).toHaveLength(1)
  }, 60_000)

  test("removes what a build that was killed has left long ago, and nothing else", async () => {
    const { options, builds } = checkout()
    const [old, recent] = ["0123.building-old", "0123.building-recent"].map((name) => join(builds, name))
    for (const directory of [old!, recent!]) mkdirSync(directory, { recursive: true })
    const yesterday = new Date(Date.now() - 86_400_000)
    utimesSync(old!, yesterday, yesterday)
    await Effect.runPromise(locateLibrary(options))
    expect(existsSync(old!)).toBe(false)
    expect(existsSync(recent!)).toBe(true)
  }, 60_000)

  test("repeats the compiler's words where the sources do not compile, and leaves nothing behind", async () => {
    const { options, builds } = checkout("int broken = undeclared_name;")
    const failure = await failureOf(options)
    expect(failure.reason).toContain("undeclared_name")
    expect(failure.reason.split("\n").length).toBeLessThan(25)
    expect(readdirSync(builds)).toEqual([])
  }, 60_000)

  test("ends a build in the middle and leaves nothing behind when it is interrupted", async () => {
    const { options, builds, sources } = checkout()
    appendFileSync(join(sources, "CMakeLists.txt"), "execute_process(COMMAND sleep 60)\n")
    const fiber = Effect.runFork(locateLibrary(options))
    // cmake is at work as soon as it has written something.
    while (!existsSync(builds) || readdirSync(builds, { recursive: true }).length < 2) await Bun.sleep(1)
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(readdirSync(builds)).toEqual([])
  }, 20_000)
})
