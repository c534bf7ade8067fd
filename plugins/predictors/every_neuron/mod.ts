/** Names every neuron of every block: the dense run that other predictors are measured against. */
import { definePlugin, type PluginUse, type Predictor, usePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const predictor: Predictor = {
  open: () =>
    Effect.succeed({
      proposes: "every",
      confirms: false,
      exact: true,
      select: (_block, _hidden, active) => active.fill()
    })
}

const plugin = definePlugin({
  kind: "predictor",
  name: "every_neuron",
  module: import.meta.url,
  options: Schema.Struct({}),
  make: () => predictor
})

export default plugin

/** Every neuron, for an engine to open. */
export const everyNeuron = (): PluginUse<"predictor"> => usePlugin(plugin)
