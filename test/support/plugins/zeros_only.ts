// A backend that has no thresholds: it opens to a device of nothing else than what openPlan looks at.
import { definePlugin, type Device } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const never = (): never => {
  throw new Error("no batch is run here")
}

export default definePlugin({
  kind: "backend",
  name: "zeros_only",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  facts: () => Effect.succeed({ name: "zeros_only", memoryBytes: 1e9 }),
  open: () =>
    Effect.succeed({
      name: "zeros_only",
      openCache: () => Effect.succeed(1),
      embed: never,
      attend: never,
      activations: never,
      startFfn: never,
      mergeFfn: never,
      logits: never,
      counters: never
    } satisfies Device)
})
