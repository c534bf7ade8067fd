// What can be chosen about the predictor?
import * as Schema from "effect/Schema"

const Share = Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1))
const Count = Schema.Int.check(Schema.isGreaterThan(0))

export const defaults = {
  budget: 0.2,
  recall: 0.977,
  by: "firing",
  type: "Q8_0",
  epochs: 3,
  relu: false,
  confirm: true,
  shift: 0
} as const

export const MlpOptions = Schema.Struct({
  file: Schema.optionalKey(
    Schema.String.annotate({
      description: "Weights that powerinfer train mlp wrote; absent: those in the model's own file"
    })
  ),
  shift: Schema.optionalKey(
    Schema.Finite.annotate({
      description: `Added to every threshold: above 0 fewer neurons are named, below 0 more; default ${defaults.shift}`
    })
  ),
  confirm: Schema.optionalKey(
    Schema.Boolean.annotate({
      description: `The FFN computes the gate of what is named and drops what is zero; default ${defaults.confirm}`
    })
  ),
  rank: Schema.optionalKey(
    Count.annotate({ description: "Training: width of the matrices of every block; absent: chosen for each block" })
  ),
  budget: Schema.optionalKey(
    Share.annotate({
      description: `Training: most bytes, as a share of the FFN's; a block gets less if more would not pay; default ${defaults.budget}`
    })
  ),
  recall: Schema.optionalKey(
    Share.annotate({
      description: `Training: share of what fires that is to be found, on rows that were held out; default ${defaults.recall}`
    })
  ),
  by: Schema.optionalKey(
    Schema.Literals(["firing", "magnitude"]).annotate({
      description: `Training: what recall counts, neurons that fire or their share in the output; default ${defaults.by}`
    })
  ),
  type: Schema.optionalKey(
    Schema.Literals(["Q8_0", "Q4_0", "F16"]).annotate({
      description: `Training: type of the matrices; default ${defaults.type}`
    })
  ),
  epochs: Schema.optionalKey(
    Count.annotate({ description: `Training: most passes over the rows; default ${defaults.epochs}` })
  ),
  relu: Schema.optionalKey(
    Schema.Boolean.annotate({
      description: `Training: a relu between the matrices, as PowerInfer has it; default ${defaults.relu}`
    })
  )
})

/** Where the weights lie and how they are used; and, for training, how they are made. */
export type MlpOptions = typeof MlpOptions.Type
