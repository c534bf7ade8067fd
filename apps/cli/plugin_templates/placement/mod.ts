/** Gives every device a run of each block's neurons, as long as its share of the memory of all devices. */
import { definePlugin, type NeuronShare, PlacementImpossible, type PluginUse, usePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const name = "plugin_name"

/** Neurons `from` up to but not including `to`. */
const neuronRun = (from: number, to: number, ffnWidth: number): NeuronShare => {
  if (from === to) return "none"
  if (from === 0 && to === ffnWidth) return "all"
  const words = new Uint32Array(Math.ceil(ffnWidth / 32))
  for (let neuron = from; neuron < to; neuron++) words[neuron >>> 5]! |= 1 << (neuron & 31)
  return words
}

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "engine_range",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model, devices }) => {
    const memoryBytes = devices.reduce((sum, device) => sum + device.memoryBytes, 0)
    if (!(memoryBytes > 0)) {
      const reason = "there is no device with memory; name at least one backend"
      return Effect.fail(new PlacementImpossible({ policy: name, reason }))
    }
    const { blockCount, ffnWidth } = model.shape
    let [taken, end] = [0, 0]
    const shares = devices.map((device, index) => {
      const from = end
      taken += device.memoryBytes
      // The last run ends with the last neuron, whatever sums of large numbers round to.
      end = index === devices.length - 1 ? ffnWidth : Math.round((ffnWidth * taken) / memoryBytes)
      return neuronRun(from, end, ffnWidth)
    })
    return Effect.succeed({ home: 0, shares: Array.from({ length: blockCount }, () => shares) })
  }
})

export default plugin

/** The policy, for an engine to open. */
export const use = (): PluginUse<"placement"> => usePlugin(plugin)
