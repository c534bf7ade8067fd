/** Everything on the first device; says what it was told to keep free. */
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "placement",
  name: "says_reserved",
  version: "1.0.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model, reservedBytes }) =>
    Effect.succeed({
      home: 0,
      shares: Array.from({ length: model.shape.blockCount }, () => ["all" as const]),
      notes: [JSON.stringify(reservedBytes)]
    })
})
