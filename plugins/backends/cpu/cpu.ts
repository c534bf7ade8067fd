// How are threads with an instruction set had?
import {
  BackendFailure,
  loadPowerinfer,
  openThreads,
  type Powerinfer,
  readMachineFrom,
  type NativeLibraryError
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { backendFailure } from "./failures.ts"
import type { CpuOptions } from "./options.ts"
import { cpuSymbols } from "./symbols.ts"

/** libpowerinfer and a pool of its threads. */
export interface Cpu {
  readonly native: Powerinfer<typeof cpuSymbols>
  readonly handle: number
}

/** Starts the threads, until the scope closes. Fails if the library cannot be had or this CPU lacks the instruction set. */
export const openCpu = Effect.fnUntraced(function* (
  options: Pick<CpuOptions, "threads" | "isa">
): Effect.fn.Return<Cpu, BackendFailure | NativeLibraryError, Scope.Scope> {
  const native = yield* loadPowerinfer(cpuSymbols)
  const { isas } = readMachineFrom(native)
  if (options.isa !== "auto" && !isas.includes(options.isa)) {
    return yield* backendFailure(`this CPU does not run ${options.isa}; choose auto or one of ${isas.join(", ")}`)
  }
  const handle = yield* openThreads(native, options.threads, options.isa).pipe(
    Effect.mapError(({ reason }) => backendFailure(reason))
  )
  return { native, handle }
})
