// What is a device of a plugin's native library, and how fast is it?
import * as Effect from "effect/Effect"
import { BackendFailure } from "../backend.ts"
import type { DeviceFacts, MemoryAvailable } from "../placement.ts"
import type { PluginKernels } from "../plugin.ts"
import { type DeviceSpeed, keepSpeed, knownSpeed, speedKey } from "./device_speeds.ts"
import type { NativeLibraryError } from "./library.ts"
import { loadPluginLibrary } from "./plugin_library.ts"
import { loadPowerinfer } from "./powerinfer.ts"

const symbols = {
  powerinfer_device_facts: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_device_measure: { args: ["u32", "u32", "buf"], ret: "i32" }
} as const

/** sizeof(powerinfer_backend_facts), where its numbers and its name lie. */
const factsLayout = { bytes: 88, driverAt: 4, memoryAt: 8, availableAt: 16, nameAt: 24, nameBytes: 64 }

/** sizeof(powerinfer_backend_speed), and where its numbers lie. */
const speedLayout = { bytes: 24, bandwidthAt: 8, handOffAt: 16 }

/** What a native library says about one of its devices. Speeds: as far as they have been measured, now or before. */
export interface NativeDeviceFacts extends DeviceFacts, MemoryAvailable {}

/** Whether speeds are measured: not at all, where nobody has, or anew. */
export type Measuring = "never" | "once" | "again"

/**
 * What a plugin's native library says its device would be.
 *
 * - `index`  of a library that has several, from 0
 * - cost     of measuring: up to a second
 * - fails    with `NativeLibraryError` if the library cannot be had; with `BackendFailure` if it has no device or refuses, in its own words
 */
export const nativeDeviceFacts = (
  kernels: PluginKernels,
  index = 0,
  measuring: Measuring = "never"
): Effect.Effect<NativeDeviceFacts, BackendFailure | NativeLibraryError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const library = yield* loadPluginLibrary(kernels)
      const { symbols: calls, failed } = yield* loadPowerinfer(symbols)
      const read = Effect.fnUntraced(function* (call: keyof typeof symbols, sizeBytes: number) {
        const into = new DataView(new ArrayBuffer(sizeBytes))
        into.setUint32(0, sizeBytes, true)
        const status = calls[call](library.handle, index, into)
        if (status >= 0) return into
        return yield* new BackendFailure({ backend: library.facts.name, reason: failed(call, status).reason })
      })
      const facts = yield* read("powerinfer_device_facts", factsLayout.bytes)
      const text = new Uint8Array(facts.buffer, factsLayout.nameAt, factsLayout.nameBytes)
      const end = text.indexOf(0)
      const name = new TextDecoder().decode(text.subarray(0, end < 0 ? factsLayout.nameBytes : end))
      const key = speedKey({ name, driver: facts.getUint32(factsLayout.driverAt, true), library: library.facts.path })
      let speed = measuring === "again" ? undefined : knownSpeed(key)
      if (speed === undefined && measuring !== "never") {
        const measured = yield* read("powerinfer_device_measure", speedLayout.bytes)
        const now: DeviceSpeed = {
          bandwidthBytesPerSecond: measured.getFloat64(speedLayout.bandwidthAt, true),
          handOffSeconds: measured.getFloat64(speedLayout.handOffAt, true)
        }
        speed = now
        yield* keepSpeed(key, now)
      }
      return {
        name: name || library.facts.name,
        memoryBytes: facts.getFloat64(factsLayout.memoryAt, true),
        memoryAvailableBytes: facts.getFloat64(factsLayout.availableAt, true),
        ...speed
      }
    })
  )
