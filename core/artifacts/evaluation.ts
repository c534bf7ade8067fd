// How close is a run of a model to its dense run, and what does it read?
import * as Schema from "effect/Schema"
import { Interval } from "../jobs/bootstrap.ts"
import { protocols } from "../jobs/evaluation_text.ts"
import { fidelityClasses } from "../jobs/fidelity.ts"
import { defineArtifact, type MadeFor } from "./artifact.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Spread = Schema.Struct({ median: Schema.Finite, min: Schema.Finite, max: Schema.Finite })

/** A plugin as it was used. Values of options as JSON can hold them. */
export const UsedPlugin = Schema.Struct({
  name: Schema.String,
  version: Schema.String,
  options: Schema.Record(Schema.String, Schema.Unknown)
})

export type UsedPlugin = typeof UsedPlugin.Type

/** Of decoding the text's own tokens one at a time. */
const DecodeFigures = Schema.Struct({
  tokensPerSecond: Spread,
  /** Read a token: weights, of these the predictor's own, and keys and values. */
  weightBytes: Schema.Finite,
  predictorBytes: Schema.Finite,
  cacheBytes: Schema.Finite,
  /** Share of neurons whose `down` was used. */
  activeShare: Schema.Finite
})
export type DecodeFigures = typeof DecodeFigures.Type

/**
 * What the predictor leaves for the FFN to compute, beside the truth. Of an activation that makes no zeros there is no truth to recall: only the share of neurons and
 * the magnitude are defined then.
 */
const SelectionShares = {
  /** Share of neurons that were proposed and are above the predictor's thresholds, where it has any. */
  proposedShare: Schema.Finite,
  /** Σ |activation| of what was proposed over that of all. */
  magnitudeKept: Schema.Finite,
  firedShare: Schema.optionalKey(Schema.Finite),
  /** Of the neurons that fired, how many were proposed; of those proposed, how many fired. */
  recall: Schema.optionalKey(Schema.Finite),
  precision: Schema.optionalKey(Schema.Finite)
}

export const EvaluationFigures = Schema.Struct({
  fidelity: Schema.Literals(fidelityClasses),
  /** Positions whose logits were compared. */
  scoredTokens: Count,
  perplexity: Schema.Struct({ dense: Interval, asked: Interval }),
  /** ln(asked perplexity / dense perplexity). */
  deltaLogPerplexity: Interval,
  /** KL(dense ‖ asked), nats. */
  divergence: Schema.Struct({ mean: Interval, median: Schema.Finite, p99: Schema.Finite, max: Schema.Finite }),
  topAgreement: Interval,
  selection: Schema.optionalKey(
    Schema.Struct({
      proposedShare: Interval,
      magnitudeKept: Interval,
      firedShare: Schema.optionalKey(Interval),
      recall: Schema.optionalKey(Interval),
      precision: Schema.optionalKey(Interval),
      blocks: Schema.Array(Schema.Struct(SelectionShares))
    })
  ),
  freeRunning: Schema.optionalKey(
    Schema.Struct({
      prompts: Count,
      tokens: Count,
      /** Tokens until the first that differs, the mean over prompts. */
      commonPrefix: Schema.Finite,
      /** Share of prompts whose first 64, and whose first `tokens`, tokens are the same. */
      same64: Schema.Finite,
      sameAll: Schema.Finite
    })
  ),
  decode: Schema.optionalKey(Schema.Struct({ dense: DecodeFigures, asked: DecodeFigures }))
})

/** What `evaluate` measures. */
export type EvaluationFigures = typeof EvaluationFigures.Type

const Content = Schema.Struct({
  /** In the order they were run; `sha256` is of their bytes. */
  corpora: Schema.Array(Schema.Struct({ name: Schema.String, sha256: Schema.String })),
  protocol: Schema.Literals(protocols),
  windowLength: Count,
  windows: Count,
  /** Of the choice of windows, where they were drawn. */
  windowSeed: Schema.optionalKey(Count),
  /** Of the intervals. */
  seed: Count,
  predictor: UsedPlugin,
  placement: UsedPlugin,
  backends: Schema.Array(UsedPlugin),
  figures: EvaluationFigures
})

/** What `powerinfer evaluate --out` writes. */
export type Evaluation = MadeFor<typeof Content.Type>

export const evaluation = defineArtifact({
  name: "evaluation",
  format: "powerinfer.evaluation",
  version: 1,
  madeBy: "powerinfer evaluate",
  content: Content
})
