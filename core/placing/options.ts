// Which options do placement policies have alike?
import { Schema } from "effect"

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
  )
}
