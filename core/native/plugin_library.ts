// How does the native code of a plugin come into this process, and does it fit?
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PluginKernels } from "../plugin.ts"
import { sharedLibraryName } from "./build.ts"
import { NativeLibraryError } from "./library.ts"
import { openHandle } from "./open_handle.ts"
import { loadPowerinfer, type Powerinfer } from "./powerinfer.ts"

/** What loading a plugin's library needs. */
export const pluginLibrarySymbols = {
  powerinfer_plugin_load: { args: ["buf", "u32", "buf"], ret: "i32" },
  powerinfer_plugin_builtin: { args: ["buf", "u32", "buf"], ret: "i32" },
  powerinfer_plugin_read: { args: ["u32", "buf"], ret: "i32" },
  powerinfer_plugin_name: { args: ["u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_plugin_version: { args: ["u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_plugin_close: { args: ["u32"], ret: "i32" }
} as const

/** sizeof(powerinfer_plugin_facts). */
const factsBytes = 24
/** Longer than any name or version may be. */
const textBytesMax = 128

/** Kernels that libpowerinfer brings itself, by the name they have in powerinfer.h. */
export interface BuiltinKernels {
  readonly builtin: string
}

/** What a library says about itself. */
export interface PluginLibraryFacts {
  readonly path: string
  readonly name: string
  readonly version: string
  /** Of the powerinfer_plugin.h that it was compiled with: "1.0". */
  readonly abi: string
  readonly predictor: boolean
  readonly backend: boolean
  readonly selectsOn: ReadonlyArray<"cpu" | "cuda">
  readonly confirms: boolean
  readonly exact: boolean
  /** Of a backend: it runs the kernels of predictors where the hidden vector is. */
  readonly selectsInPlace: boolean
  /** Of a backend: it says what attend left and what a predictor named while it goes on. */
  readonly handsOver: boolean
}

/** A library that was loaded and found to fit. */
export interface PluginLibrary {
  readonly native: Powerinfer<typeof pluginLibrarySymbols>
  readonly handle: number
  readonly facts: PluginLibraryFacts
}

/**
 * Where a plugin's native code lies: `prebuilt/<platform>-<arch>/` as it is shipped, or `build/` as it is built here, beside the module.
 *
 * - `module`  `import.meta.url`
 * - `name`    of the library without prefix and suffix: `hash_rows` is libhash_rows.so on Linux
 */
export const nativeKernels = (options: { readonly module: string; readonly name: string }): PluginKernels => {
  const file = sharedLibraryName(options.name)
  const at = (folder: string) => fileURLToPath(new URL(`${folder}/${file}`, options.module))
  return {
    candidates: [at(`./prebuilt/${process.platform}-${process.arch}`), at("./build")],
    build: "powerinfer plugin build"
  }
}

/**
 * Loads a plugin's library until the scope closes.
 *
 * - fails  with `NativeLibraryError`: it is nowhere, it is no plugin, its ABI is another one (and which side to update)
 */
export const loadPluginLibrary = Effect.fnUntraced(function* (
  kernels: PluginKernels | BuiltinKernels
): Effect.fn.Return<PluginLibrary, NativeLibraryError, Scope.Scope> {
  const native = yield* loadPowerinfer(pluginLibrarySymbols)
  const { call, name, path, remedy } = yield* sourceOf(kernels, native)
  const bytes = new TextEncoder().encode(name)
  const handle = yield* openHandle(
    native,
    call,
    (out) => native.symbols[call](bytes, bytes.length, out),
    (library) => native.symbols.powerinfer_plugin_close(library)
  ).pipe(Effect.mapError(({ reason }) => new NativeLibraryError({ path, reason, remedy })))
  return { native, handle, facts: readFacts(native, handle, path) }
})

/** How the library is opened, and what to say if it cannot be. */
const sourceOf = (kernels: PluginKernels | BuiltinKernels, { path: powerinfer }: PluginLibrary["native"]) => {
  if ("builtin" in kernels) {
    const { builtin: name } = kernels
    const remedy = "or update the library"
    return Effect.succeed({ call: "powerinfer_plugin_builtin", name, path: powerinfer, remedy } as const)
  }
  const { candidates, build } = kernels
  const path = candidates.find((candidate) => existsSync(candidate))
  return path === undefined
    ? Effect.fail(
        new NativeLibraryError({
          path: candidates.at(-1) ?? "",
          reason: `there is no such file${candidates.length > 1 ? `, nor ${candidates.slice(0, -1).join(", ")}` : ""}`,
          remedy: `build it in the plugin's folder: ${build}`
        })
      )
    : Effect.succeed({
        call: "powerinfer_plugin_load",
        name: path,
        path,
        remedy: `or build it again: ${build}`
      } as const)
}

const readFacts = (native: PluginLibrary["native"], handle: number, path: string): PluginLibraryFacts => {
  const { symbols, check } = native
  const facts = new DataView(new ArrayBuffer(factsBytes))
  facts.setUint32(0, factsBytes, true)
  check("powerinfer_plugin_read", symbols.powerinfer_plugin_read(handle, facts))
  const field = (index: number) => facts.getUint32(4 * index, true)
  const text = (call: "powerinfer_plugin_name" | "powerinfer_plugin_version") => {
    const written = new Uint8Array(new ArrayBuffer(textBytesMax))
    const length = new Uint32Array(new ArrayBuffer(4))
    check(call, symbols[call](handle, written, textBytesMax, length))
    return new TextDecoder().decode(written.subarray(0, length[0]))
  }
  // POWERINFER_PLUGIN_x, POWERINFER_PREDICTOR_x and, below, POWERINFER_BACKEND_x
  const [provides, predictorFlags] = [field(3), field(4)]
  return {
    path,
    name: text("powerinfer_plugin_name"),
    version: text("powerinfer_plugin_version"),
    abi: `${field(1)}.${field(2)}`,
    predictor: (provides & 1) !== 0,
    backend: (provides & 2) !== 0,
    selectsOn: [
      ...((provides & 4) !== 0 ? (["cpu"] as const) : []),
      ...((provides & 8) !== 0 ? (["cuda"] as const) : [])
    ],
    confirms: (predictorFlags & 1) !== 0,
    exact: (predictorFlags & 2) !== 0,
    selectsInPlace: (field(5) & 1) !== 0,
    handsOver: (field(5) & 2) !== 0
  }
}
