// A predictor for tests that proposes some neurons: those whose true activation is among the largest of their row.
import { definePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "predictor",
  name: "largest_share",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ share: Schema.Finite }),
  open: ({ share }, { model, probe, rowCountMax }) =>
    Effect.sync(() => {
      const { ffnWidth } = model.shape
      const activations = new Float32Array(new ArrayBuffer(rowCountMax * ffnWidth * 4))
      return {
        proposes: "some",
        confirms: false,
        exact: false,
        select: (block, hidden, active) => {
          probe.activations(block, hidden, activations)
          for (let row = 0; row < hidden.rowCount; row++) {
            const magnitudes = activations.slice(row * ffnWidth, (row + 1) * ffnWidth).map(Math.abs)
            const smallest = magnitudes.toSorted().at(-Math.ceil(share * ffnWidth))!
            magnitudes.forEach((magnitude, neuron) => {
              if (magnitude > 0 && magnitude >= smallest) active.add(row, neuron)
            })
          }
        }
      }
    })
})
