// A faulty predictor for tests: it throws where nobody can catch it, once the engine has begun to work.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "predictor",
  name: "dies_later",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: () =>
    Effect.succeed({
      proposes: "some",
      confirms: false,
      exact: false,
      select: (_block, _hidden, active) => {
        active.fill()
        setTimeout(() => {
          throw new Error("too late to catch")
        })
      }
    })
})
