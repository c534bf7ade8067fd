// Which options do placement policies have alike?
import * as Schema from "effect/Schema"

/** Fields of a policy's options, each with the words that the command line shows. */
export const placingOptions = {
  home: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 254 })).annotate({
      description:
        "Index of the device that runs attention and holds the KV cache; absent: the fastest that has room for that"
    })
  ),
  profile: Schema.optionalKey(
    Schema.String.annotate({
      description: "An activation profile of this model (powerinfer profile); absent: every neuron counts alike"
    })
  ),
  /** Without a default: that is the policy's. */
  proposes: Schema.Literals(["every", "some"]).annotate({
    description: "What the predictor does: every reads all gates, some reads named neurons only"
  }),
  candidates: Schema.optionalKey(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).annotate({
      description: "Share of neurons that the predictor names; absent: those that fire"
    })
  )
}
