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
import { definePlugin, type PluginUse, readMachine, usePlugin } from "@powerinfer/core"
import { Effect } from "effect"
import { openCpuDevice } from "./open_device.ts"
import { CpuOptions } from "./options.ts"

export { CpuOptions } from "./options.ts"

const plugin = definePlugin({
  kind: "backend",
  name: "cpu",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: CpuOptions,
  facts: () => Effect.map(readMachine, ({ memoryBytes }) => ({ name: "cpu", memoryBytes })),
  open: openCpuDevice
})

export default plugin

/** The CPU backend with these options, for an engine to open. */
export const cpu = (options: Partial<CpuOptions> = {}): PluginUse<"backend"> => usePlugin(plugin, options)
