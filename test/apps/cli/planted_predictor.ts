// A predictor for tests of `plugin check`: right as it is, and wrong in the ways that its options name.
import { definePlugin, PredictorMismatch } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const kept: { last?: unknown } = {}

export default definePlugin({
  kind: "predictor",
  name: "planted",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({
    /** Makes an object in every call. */
    allocates: Schema.optionalKey(Schema.Boolean),
    /** Serves only models of this width. */
    ffnWidth: Schema.optionalKey(Schema.Int)
  }),
  open: ({ allocates = false, ffnWidth }, { model }) =>
    Effect.gen(function* () {
      const actual = model.shape.ffnWidth
      if (ffnWidth !== undefined && ffnWidth !== actual) {
        return yield* new PredictorMismatch({ predictor: "planted", expected: `${ffnWidth}`, actual: `${actual}` })
      }
      return {
        proposes: "some",
        confirms: false,
        exact: false,
        select: (block, hidden, active) => {
          if (allocates) kept.last = { block }
          for (let row = 0; row < hidden.rowCount; row++) active.add(row, block)
        }
      }
    })
})
