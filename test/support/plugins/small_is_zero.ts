// Drops activations below fixed magnitudes, the same for every neuron but one in seven, which is left alone.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "predictor",
  name: "small_is_zero",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({
    gate: Schema.optionalKey(Schema.Finite),
    activation: Schema.optionalKey(Schema.Finite)
  }),
  open: ({ gate, activation }, { model }) => {
    const { blockCount, ffnWidth } = model.shape
    const limits = (value: number) => Float32Array.from({ length: ffnWidth }, (_, n) => (n % 7 === 0 ? 0 : value))
    const thresholds = {
      ...(gate !== undefined && { gate: limits(gate) }),
      ...(activation !== undefined && { activation: limits(activation) })
    }
    return Effect.succeed({
      proposes: "every",
      confirms: true,
      exact: false,
      thresholds: Array.from({ length: blockCount }, () => thresholds),
      select: (_block, _hidden, active) => active.fill()
    })
  }
})
