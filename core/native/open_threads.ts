// How are the library's threads had, with an instruction set?
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type IsaName, isaNames } from "./machine.ts"
import { openHandle } from "./open_handle.ts"
import type { Powerinfer } from "./powerinfer.ts"
import type { NativeCallFailed } from "./status.ts"

/** What starting threads needs, for who opens the library anyway. */
export const threadSymbols = {
  powerinfer_cpu_open: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_cpu_close: { args: ["u32"], ret: "i32" }
} as const

/** Starts `threads` threads (0: one a core) until the scope closes; returns the handle. Fails on an instruction set this CPU lacks. */
export const openThreads = (
  native: Powerinfer<typeof threadSymbols>,
  threads: number,
  isa: IsaName = "auto"
): Effect.Effect<number, NativeCallFailed, Scope.Scope> =>
  openHandle(
    native,
    "powerinfer_cpu_open",
    (out) => native.symbols.powerinfer_cpu_open(threads, isaNames.indexOf(isa), out),
    (cpu) => native.symbols.powerinfer_cpu_close(cpu)
  )
