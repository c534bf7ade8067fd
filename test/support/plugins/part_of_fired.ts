// A predictor that knows which neurons fire and names one of every `step` of them: its recall is known, and its precision is 1. Step 0 names none.
import { definePlugin, type NeuronSelector, PredictorMismatch } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export default definePlugin({
  kind: "predictor",
  name: "part_of_fired",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({
    step: Schema.Int,
    /** Names all that do not fire, too. */
    others: Schema.optionalKey(Schema.Boolean),
    /** Says that a selection reads so many bytes. */
    bytes: Schema.optionalKey(Schema.Int),
    /** Of activations, for the FFN to drop. */
    threshold: Schema.optionalKey(Schema.Finite),
    /** Opens for no model. */
    refuses: Schema.optionalKey(Schema.Boolean)
  }),
  open: ({ step, others = false, bytes = 0, threshold, refuses = false }, { model, probe, rowCountMax }) =>
    Effect.gen(function* () {
      const { ffnWidth } = model.shape
      if (refuses) {
        return yield* new PredictorMismatch({
          predictor: "part_of_fired",
          expected: "another model",
          actual: "this one"
        })
      }
      const activations = new Float32Array(new ArrayBuffer(rowCountMax * ffnWidth * 4))
      const selector: NeuronSelector = {
        proposes: "some",
        confirms: threshold !== undefined,
        exact: false,
        selectionBytes: model.blocks.map(() => bytes),
        ...(threshold !== undefined && {
          thresholds: model.blocks.map(() => ({ activation: new Float32Array(ffnWidth).fill(threshold) }))
        }),
        select: (block, hidden, active) => {
          probe.activations(block, hidden, activations)
          for (let row = 0; row < hidden.rowCount; row++) {
            let fired = 0
            for (let neuron = 0; neuron < ffnWidth; neuron++) {
              const fires = activations[row * ffnWidth + neuron] !== 0
              if (fires ? fired++ % step === 0 : others) active.add(row, neuron)
            }
          }
        }
      }
      return selector
    })
})
