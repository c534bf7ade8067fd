/**
 * The CPU as a device: the kernels of libpowerinfer on this machine's cores, reading the model's file in place.
 *
 * @example
 * ```ts
 * import { cpu } from "@powerinfer/backend-cpu"
 *
 * const backend = cpu({ threads: 4 })
 * ```
 */
import { definePlugin, type Measuring, type PluginUse, readMeasuredMachine, usePlugin } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import { backendFailure } from "./failures.ts"
import { openCpuDevice } from "./open_device.ts"
import { CpuOptions } from "./options.ts"

export { CpuOptions } from "./options.ts"

/** Bandwidth is that of all cores: of fewer threads nothing is known. */
const facts = ({ threads }: CpuOptions, measuring: Measuring) =>
  readMeasuredMachine(threads === 0 ? measuring : "never").pipe(
    Effect.mapError((failed) => (failed._tag === "BandwidthUnknown" ? backendFailure(failed.reason) : failed)),
    Effect.map(({ machine: { memoryBytes }, bandwidthBytesPerSecond }) => ({
      name: "cpu",
      memoryBytes,
      ...(threads === 0 && bandwidthBytesPerSecond !== undefined && { bandwidthBytesPerSecond })
    }))
  )

const plugin = definePlugin({
  kind: "backend",
  name: "cpu",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: CpuOptions,
  facts: (options) => facts(options, "never"),
  measure: facts,
  open: openCpuDevice
})

export default plugin

/** The CPU backend with these options, for an engine to open. */
export const cpu = (options: Partial<CpuOptions> = {}): PluginUse<"backend"> => usePlugin(plugin, options)
