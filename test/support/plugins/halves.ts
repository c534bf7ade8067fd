// A placement for tests: neurons in turn on every device, the first one is the home.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "placement",
  name: "halves",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  open: (_options, { model: { shape }, devices }) => {
    const shares = devices.map((_, device) => {
      const share = new Uint32Array(Math.ceil(shape.ffnWidth / 32))
      for (let neuron = device; neuron < shape.ffnWidth; neuron += devices.length) {
        share[neuron >>> 5]! |= 1 << (neuron & 31)
      }
      return share
    })
    return Effect.succeed({ home: 0, shares: Array.from({ length: shape.blockCount }, () => shares) })
  }
})
