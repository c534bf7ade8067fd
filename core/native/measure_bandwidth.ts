// How fast can this machine read memory? The floor of every token is the bytes it must read divided by this.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { NativeLibraryError } from "./library.ts"
import type { IsaName } from "./machine.ts"
import { mapFile, mapFileSymbols } from "./map_file.ts"
import { openThreads, threadSymbols } from "./open_threads.ts"
import { loadPowerinfer } from "./powerinfer.ts"

/** Reading cannot be measured: an instruction set this CPU lacks, a file that cannot be mapped, no memory. */
export class BandwidthUnknown extends Schema.TaggedError<BandwidthUnknown>()("BandwidthUnknown", {
  reason: Schema.String
}) {
  override get message() {
    return `Cannot measure how fast memory is read: ${this.reason}`
  }
}

/** What to measure reading with. */
export interface BandwidthOptions {
  /** 0, the default: one a core. */
  readonly threads?: number
  readonly isa?: IsaName
  /** Of the buffer; several times as large as the caches. */
  readonly sizeBytes?: number
  /** Read the mapping of this file, all of it, instead of a buffer. */
  readonly file?: string
  readonly repetitions?: number
}

const symbols = {
  ...mapFileSymbols,
  ...threadSymbols,
  powerinfer_cpu_measure_bandwidth: { args: ["u32", "f64", "u32", "buf"], ret: "i32" },
  powerinfer_cpu_measure_file_bandwidth: { args: ["u32", "u32", "u32", "buf"], ret: "i32" }
} as const

/** Measured on the way to this: 256 MiB and less at times read faster than memory can be, out of caches. */
const bandwidthBufferBytes = 2 ** 29

/**
 * Measures how fast all threads together read memory.
 *
 * - returns  bytes per second, the best of `repetitions` (5) over a buffer of `sizeBytes` (512 MiB) or over a file's mapping
 * - fails    with `NativeLibraryError`; with `BandwidthUnknown` on an instruction set this CPU lacks, a file that cannot be mapped, no memory
 */
export const measureBandwidth = (
  options: BandwidthOptions = {}
): Effect.Effect<number, BandwidthUnknown | NativeLibraryError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const native = yield* loadPowerinfer(symbols)
      const { symbols: calls } = native
      const { threads = 0, isa = "auto", file, sizeBytes = bandwidthBufferBytes, repetitions = 5 } = options
      const cpu = yield* openThreads(native, threads, isa)
      const bytesPerSecond = new Float64Array(new ArrayBuffer(8))
      let call: keyof typeof symbols = "powerinfer_cpu_measure_bandwidth"
      let status: number
      if (file === undefined) status = calls[call](cpu, sizeBytes, repetitions, bytesPerSecond)
      else {
        const mapped = yield* mapFile(native, file)
        call = "powerinfer_cpu_measure_file_bandwidth"
        status = calls[call](cpu, mapped, repetitions, bytesPerSecond)
      }
      return status < 0 ? yield* native.failed(call, status) : bytesPerSecond[0]!
    })
  ).pipe(Effect.catchTag("NativeCallFailed", ({ reason }) => Effect.fail(new BandwidthUnknown({ reason }))))
