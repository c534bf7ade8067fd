// A backend for tests: it has options of every kind, and opens on no machine.
import { BackendFailure, definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

const name = "refuses"

export default definePlugin({
  kind: "backend",
  name,
  version: "1.2.3",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({
    device: Schema.String.annotate({ description: "Which of several" }),
    threads: Schema.optionalKey(Schema.String),
    levels: Schema.Array(Schema.Int).pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed([1, 2]))),
    since: Schema.DateFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("2000-01-01T00:00:00.000Z"))),
    fast: Schema.Boolean.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(false))),
    bits: Schema.optionalKey(Schema.Literals([4, 8]))
  }),
  facts: () => Effect.succeed({ name, memoryBytes: 0 }),
  open: () => Effect.fail(new BackendFailure({ backend: name, reason: "it opens nowhere; it is for tests" }))
})
