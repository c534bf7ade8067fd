/**
 * Lets the FFN's own gate decide: every neuron is a candidate, and those whose activation comes out as zero are dropped before
 * their other rows are read. With ReLU or ReLU² no token changes.
 */
import { definePlugin, type PluginUse, usePlugin } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const plugin = definePlugin({
  kind: "predictor",
  name: "exact_gate",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: () =>
    Effect.succeed({
      proposes: "every",
      confirms: true,
      exact: true,
      select: (_block, _hidden, active) => active.fill()
    })
})

export default plugin

/** The exact gate, for an engine to open. */
export const exactGate = (): PluginUse<"predictor"> => usePlugin(plugin)
