// A placement policy for tests that breaks its contract in one way, which its option names.
import { definePlugin, type PlacementPlan } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "placement",
  name: "faulty_placement",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ fault: Schema.Literals(["open throws", "open returns no plan"]) }),
  open: ({ fault }) => {
    if (fault === "open throws") throw new Error("no plan today")
    return Effect.succeed(7 as unknown as PlacementPlan)
  }
})
