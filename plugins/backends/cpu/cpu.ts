// How are threads with an instruction set had, and what can they read?
import {
  BackendFailure,
  isaNames,
  loadPowerinfer,
  type Powerinfer,
  readMachineFrom,
  type NativeLibraryError
} from "@powerinfer/core"
import { Effect, type Scope } from "effect"
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
  const isa = isaNames.indexOf(options.isa)
  const handle = yield* openHandle(
    native,
    "powerinfer_cpu_open",
    (out) => native.symbols.powerinfer_cpu_open(options.threads, isa, out),
    (cpu) => native.symbols.powerinfer_cpu_close(cpu)
  ).pipe(Effect.mapError(({ reason }) => backendFailure(reason)))
  return { native, handle }
})

/** Opens a native object until the scope closes. Fails with the call's own words. */
export const openHandle = (
  native: Powerinfer<typeof cpuSymbols>,
  call: keyof typeof cpuSymbols,
  open: (handle: Uint32Array) => number,
  close: (handle: number) => number
) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const handle = new Uint32Array(new ArrayBuffer(4))
      const status = open(handle)
      return status < 0 ? Effect.fail(native.failed(call, status)) : Effect.succeed(handle[0]!)
    }),
    (handle) => Effect.sync(() => void close(handle))
  )

/** Maps a file for native calls, until the scope closes. Fails where it is missing, empty or no regular file. */
export const mapFile = ({ native }: Cpu, path: string) => {
  const bytes = new TextEncoder().encode(path)
  return openHandle(
    native,
    "powerinfer_file_open",
    (out) => native.symbols.powerinfer_file_open(bytes, bytes.length, out),
    (file) => native.symbols.powerinfer_file_close(file)
  ).pipe(Effect.mapError(({ reason }) => backendFailure(reason)))
}

/** What to measure reading with. */
export interface BandwidthOptions extends Partial<Pick<CpuOptions, "threads" | "isa">> {
  /** Of the buffer; several times as large as the caches. */
  readonly sizeBytes?: number
  /** Read the mapping of this file, all of it, instead of a buffer. */
  readonly file?: string
  readonly repetitions?: number
}

/** Measured on the way to this: 256 MiB and less at times read faster than memory can be, out of caches. */
const bandwidthBufferBytes = 2 ** 29

/**
 * Measures how fast all threads together read memory: the floor of every token is the bytes it must read divided by this.
 *
 * - returns  bytes per second, the best of `repetitions` (5) over a buffer of `sizeBytes` (512 MiB) or over a file's mapping
 */
export const measureBandwidth = (
  options: BandwidthOptions = {}
): Effect.Effect<number, BackendFailure | NativeLibraryError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { native, handle } = yield* openCpu({ threads: options.threads ?? 0, isa: options.isa ?? "auto" })
      const bytesPerSecond = new Float64Array(new ArrayBuffer(8))
      const { file, sizeBytes = bandwidthBufferBytes, repetitions = 5 } = options
      if (file === undefined) {
        const status = native.symbols.powerinfer_cpu_measure_bandwidth(handle, sizeBytes, repetitions, bytesPerSecond)
        if (status < 0) return yield* backendFailure(native.failed("powerinfer_cpu_measure_bandwidth", status).reason)
      } else {
        const mapped = yield* mapFile({ native, handle }, file)
        const status = native.symbols.powerinfer_cpu_measure_file_bandwidth(handle, mapped, repetitions, bytesPerSecond)
        if (status < 0)
          return yield* backendFailure(native.failed("powerinfer_cpu_measure_file_bandwidth", status).reason)
      }
      return bytesPerSecond[0]!
    })
  )
