// Stands in for the simplest placement where a test does not care whose it is: everything on the first device.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "placement",
  name: "on_first",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model, devices }) =>
    Effect.succeed({
      home: 0,
      shares: model.blocks.map(() => devices.map((_, device) => (device === 0 ? ("all" as const) : ("none" as const))))
    })
})
