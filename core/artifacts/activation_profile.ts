// How often does each neuron of a model fire, and how strongly, over a corpus?
import * as Schema from "effect/Schema"
import { defineArtifact, type MadeFor } from "./artifact.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const Content = Schema.Struct({
  /** Rows that were run: one a token. */
  tokenCount: Count,
  /** A neuron fires if |activation| is above this share of the root mean square of its row; absent: if it is not zero. */
  threshold: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThan(0))),
  /** In the order they were run; `sha256` is of their bytes. */
  corpora: Schema.Array(Schema.Struct({ name: Schema.String, sha256: Schema.String, tokenCount: Count })),
  blocks: Schema.Array(
    Schema.Struct({
      /** [ffn_width]: tokens for which the neuron fired. */
      firingCounts: Schema.Array(Count),
      /** [ffn_width]: mean |activation| over the tokens for which it fired; 0 where it never did. */
      meanMagnitudes: Schema.Array(Schema.Finite),
      /** [corpus][corpus]: how alike the hot neurons are, those that make 80% of the activations: Jaccard index, 0 … 1. */
      overlap: Schema.Array(Schema.Array(Schema.Finite)),
      /** Jaccard index of the sets of two consecutive tokens, the mean over all pairs. */
      consecutiveOverlap: Schema.Finite
    })
  )
})

/** What `powerinfer profile` writes. */
export type ActivationProfile = MadeFor<typeof Content.Type>

export const activationProfile = defineArtifact({
  name: "activation profile",
  format: "powerinfer.activation_profile",
  version: 1,
  madeBy: "powerinfer profile",
  content: Content
})

/** Share of a block's neurons that fires for a token, the mean over the corpus. */
export const densityOf = (profile: Pick<ActivationProfile, "tokenCount" | "blocks">, block: number): number => {
  const { firingCounts } = profile.blocks[block]!
  return firingCounts.reduce((sum, count) => sum + count, 0) / (profile.tokenCount * firingCounts.length)
}
