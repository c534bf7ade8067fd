// A faulty predictor for tests: it throws when a batch has exactly three rows, and proposes every neuron otherwise.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "predictor",
  name: "throws_on_three",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: () =>
    Effect.succeed({
      proposes: "some",
      confirms: false,
      exact: false,
      select: (_block, hidden, active) => {
        if (hidden.rowCount === 3) throw new Error("three rows are too many")
        active.fill()
      }
    })
})
