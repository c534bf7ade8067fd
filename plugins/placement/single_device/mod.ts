/** Puts every neuron on the first device, which is also the home. */
import { definePlugin, type Placement, PlacementImpossible, type PluginUse, usePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const name = "single_device"

const placement: Placement = {
  place: ({ blockCount }, devices) => {
    if (devices.length === 0) {
      return Effect.fail(
        new PlacementImpossible({ policy: name, reason: "there is no device; name at least one backend" })
      )
    }
    const shares = devices.map((_, device) => (device === 0 ? ("all" as const) : ("none" as const)))
    return Effect.succeed({ home: 0, shares: Array.from({ length: blockCount }, () => shares) })
  }
}

const plugin = definePlugin({
  kind: "placement",
  name,
  module: import.meta.url,
  options: Schema.Struct({}),
  make: () => placement
})

export default plugin

/** Everything on the first device, for an engine to open. */
export const singleDevice = (): PluginUse<"placement"> => usePlugin(plugin)
