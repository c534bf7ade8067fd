// Stands in for the dense predictor where a test does not care whose it is: every neuron, nothing confirmed.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "predictor",
  name: "every",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ confirms: Schema.optionalKey(Schema.Boolean) }),
  open: ({ confirms = false }) =>
    Effect.succeed({ proposes: "every", confirms, exact: true, select: (_block, _hidden, active) => active.fill() })
})
