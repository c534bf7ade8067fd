// A placement for tests: this share of every block's neurons, spread over the block, on the first device, which is the home; the rest on the second.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "placement",
  name: "first_device_share",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ share: Schema.Finite }),
  open: ({ share }, { model: { shape } }) => {
    const first = new Uint32Array(Math.ceil(shape.ffnWidth / 32))
    const second = new Uint32Array(first.length)
    for (let neuron = 0; neuron < shape.ffnWidth; neuron++) {
      const taken = Math.floor((neuron + 1) * share) > Math.floor(neuron * share)
      const holder = taken ? first : second
      holder[neuron >>> 5]! |= 1 << (neuron & 31)
    }
    return Effect.succeed({ home: 0, shares: Array.from({ length: shape.blockCount }, () => [first, second]) })
  }
})
