// A faulty predictor for tests: it throws where nobody can catch it, once the engine has begun to work.
import { definePlugin, type Predictor } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const predictor: Predictor = {
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
}

export default definePlugin({
  kind: "predictor",
  name: "dies_later",
  module: import.meta.url,
  options: Schema.Struct({}),
  make: () => predictor
})
