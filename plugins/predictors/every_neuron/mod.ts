/** Names every neuron of every block: the dense run that other predictors are measured against. */
import { definePlugin, type PluginUse, usePlugin } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const plugin = definePlugin({
  kind: "predictor",
  name: "every_neuron",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: () =>
    Effect.succeed({
      proposes: "every",
      confirms: false,
      exact: true,
      select: (_block, _hidden, active) => active.fill()
    })
})

export default plugin

/** Every neuron, for an engine to open. */
export const everyNeuron = (): PluginUse<"predictor"> => usePlugin(plugin)
