/**
 * Lets the FFN's own gate decide: every neuron is a candidate, and those whose activation comes out as zero are dropped before
 * their other rows are read. With ReLU or ReLU² no token changes.
 */
import { definePlugin, type PluginUse, type Predictor, usePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const predictor: Predictor = {
  open: () =>
    Effect.succeed({
      proposes: "every",
      confirms: true,
      exact: true,
      select: (_block, _hidden, active) => active.fill()
    })
}

const plugin = definePlugin({
  kind: "predictor",
  name: "exact_gate",
  module: import.meta.url,
  options: Schema.Struct({}),
  make: () => predictor
})

export default plugin

/** The exact gate, for an engine to open. */
export const exactGate = (): PluginUse<"predictor"> => usePlugin(plugin)
