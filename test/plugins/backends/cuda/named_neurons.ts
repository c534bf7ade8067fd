// A placement for tests: the named neurons of every block are on the first device, which is the home; the rest on the second.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "placement",
  name: "named_neurons",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ neurons: Schema.Array(Schema.Array(Schema.Int)) }),
  open: ({ neurons }, { model: { shape } }) =>
    Effect.succeed({
      home: 0,
      shares: neurons.map((named) => {
        const first = new Uint32Array(Math.ceil(shape.ffnWidth / 32))
        for (const neuron of named) first[neuron >>> 5]! |= 1 << (neuron & 31)
        const second = Uint32Array.from(first, (word, place) => {
          const present = Math.min(32, shape.ffnWidth - 32 * place)
          return ~word & (present === 32 ? -1 : (1 << present) - 1)
        })
        return [first, second]
      })
    })
})
