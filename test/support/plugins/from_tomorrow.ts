// A predictor for tests: written for an engine that does not exist yet, with kernels of its own and something to learn.
import { definePlugin, PredictorFailure } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const predictor = "from_tomorrow"
const refusal = new PredictorFailure({ predictor, reason: "this engine is too old; it is for tests" })

export default definePlugin({
  kind: "predictor",
  name: predictor,
  version: "2.0.0",
  engine: "^99.0.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  kernels: { candidates: [import.meta.filename, "/nowhere/kernels.so"], build: "make kernels" },
  train: () => Effect.fail(refusal),
  open: () => Effect.fail(refusal)
})
