/** Puts every neuron on the first device, which is also the home. */
import { definePlugin, PlacementImpossible, type PluginUse, usePlugin } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const name = "single_device"

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model, devices }) => {
    if (devices.length === 0) {
      return Effect.fail(
        new PlacementImpossible({ policy: name, reason: "there is no device; name at least one backend" })
      )
    }
    const shares = devices.map((_, device) => (device === 0 ? ("all" as const) : ("none" as const)))
    return Effect.succeed({ home: 0, shares: Array.from({ length: model.shape.blockCount }, () => shares) })
  }
})

export default plugin

/** Everything on the first device, for an engine to open. */
export const singleDevice = (): PluginUse<"placement"> => usePlugin(plugin)
