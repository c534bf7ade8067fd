// How fast does this machine read memory, as it was measured once?
import { cpus } from "node:os"
import * as Effect from "effect/Effect"
import type { Measuring } from "./device_facts.ts"
import { keepSpeed, knownSpeed, speedKey } from "./device_speeds.ts"
import type { NativeLibraryError } from "./library.ts"
import { type Machine, machineSymbols, readMachineFrom } from "./machine.ts"
import { type BandwidthUnknown, measureBandwidth } from "./measure_bandwidth.ts"
import { loadPowerinfer } from "./powerinfer.ts"

/** The machine, and how fast all of its cores together read: undefined where nobody has measured it and nobody is to. */
export interface MeasuredMachine {
  readonly machine: Machine
  readonly bandwidthBytesPerSecond: number | undefined
}

/**
 * Reads the machine with its bandwidth.
 *
 * - cost   of measuring: a second or two
 * - fails  with `NativeLibraryError`; with `BandwidthUnknown` where it measures and cannot
 */
export const readMeasuredMachine = (
  measuring: Measuring
): Effect.Effect<MeasuredMachine, NativeLibraryError | BandwidthUnknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const native = yield* loadPowerinfer(machineSymbols)
      const machine = readMachineFrom(native)
      const name = `${cpus()[0]?.model ?? process.arch}, ${machine.coreCount} cores`
      const key = speedKey({ name, driver: 0, library: native.path })
      const known = measuring === "again" ? undefined : knownSpeed(key)?.bandwidthBytesPerSecond
      if (known !== undefined || measuring === "never") return { machine, bandwidthBytesPerSecond: known }
      const bandwidthBytesPerSecond = yield* measureBandwidth()
      yield* keepSpeed(key, { bandwidthBytesPerSecond })
      return { machine, bandwidthBytesPerSecond }
    })
  )
