// How does code get hold of libpowerinfer, checked and ready to call?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { NativeLibraryError, openLibrary, type SymbolDefinitions, type Symbols } from "./library.ts"
import { type LocatedLibrary, locateLibrary } from "./locate.ts"
import { lastErrorSymbols, type NativeCallFailed, nativeCallFailed } from "./status.ts"

/** POWERINFER_ABI_VERSION of the powerinfer.h that our definitions of its functions were written from. */
export const abiVersion = 4

/** libpowerinfer with the functions that were asked for. */
export interface Powerinfer<Definitions extends SymbolDefinitions> {
  readonly path: string
  readonly origin: LocatedLibrary["origin"]
  readonly symbols: Symbols<Definitions>
  /** The failure that `call` has just reported on this thread. */
  readonly failed: (call: string, status: number) => NativeCallFailed
  /** Throws that failure if `status` is one. For calls that only a mistake of ours can make fail. */
  readonly check: (call: string, status: number) => void
}

/** Paths already found, by the value of POWERINFER_LIBRARY: hashing the sources again would find the same. */
const located = new Map<string, LocatedLibrary>()

/**
 * Finds or builds the library, checks that it is of our version, and opens it until the scope closes.
 *
 * - cost   about 10 ms the first time, 1 ms after that; a build, where there is none yet
 * - fails  with `NativeLibraryError`
 */
export const loadPowerinfer = Effect.fnUntraced(function* <const Definitions extends SymbolDefinitions>(
  definitions: Definitions
): Effect.fn.Return<Powerinfer<Definitions>, NativeLibraryError, Scope.Scope> {
  const named = process.env["POWERINFER_LIBRARY"] ?? ""
  const { path, origin } = located.get(named) ?? (yield* locateLibrary())
  located.set(named, { path, origin })
  // Before anything else: a library of another version may lack the other symbols, and the version is what explains it.
  yield* checkAbiVersion(path)
  const lastError = yield* openLibrary(path, lastErrorSymbols)
  const symbols = yield* openLibrary(path, definitions)
  const failed = (call: string, status: number) => nativeCallFailed(lastError, call, status)
  const check = (call: string, status: number): void => {
    if (status < 0) throw failed(call, status)
  }
  return { path, origin, symbols, failed, check }
})

const abiVersionSymbols = { powerinfer_abi_version: { args: [], ret: "u32" } } as const

/** Fails unless the library at `path` speaks our version of powerinfer.h, and says which of the two is too old. */
export const checkAbiVersion = (path: string): Effect.Effect<void, NativeLibraryError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const symbols = yield* openLibrary(path, abiVersionSymbols)
      const actual = symbols.powerinfer_abi_version()
      if (actual === abiVersion) return
      return yield* new NativeLibraryError({
        path,
        reason: `it speaks version ${actual} of powerinfer.h, this engine version ${abiVersion}`,
        remedy:
          actual > abiVersion
            ? "update the engine (powerinfer)"
            : "update the library, or unset POWERINFER_LIBRARY to have it built"
      })
    })
  )
