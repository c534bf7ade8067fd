// Which columns does the table of an experiment have?
import type { Interval, ModelSummary, VariantSummary } from "powerinfer"
import { formatSmall } from "./evaluation_report.ts"
import { formatBytes, formatRate, formatShare } from "./quantities.ts"

/** A title, and what a cell says. */
export interface Column {
  readonly title: string
  /** What it means, for people who point at it. */
  readonly help: string
  readonly cell: (variant: VariantSummary, label: string) => string
}

const nothing = "–"
const orNothing = <A>(value: A | undefined, format: (value: A) => string): string =>
  value === undefined ? nothing : format(value)
const interval = ({ value, low, high }: Interval, format: (value: number) => string): string =>
  low === high ? format(value) : `${format(value)} (${format(low)} to ${format(high)})`

export const comparisonColumns: ReadonlyArray<Column> = [
  { title: "way", help: "The predictor and what sets it apart from others of its name", cell: (_, label) => label },
  {
    title: "fidelity",
    help: "exact, transparent, good, degraded or reject",
    cell: ({ fidelity, oracle }) => (oracle ? `${fidelity} (bound)` : fidelity)
  },
  {
    title: "KL divergence",
    help: "Mean of KL(dense ‖ this), nats, with the 95% interval",
    cell: ({ divergence }) => interval(divergence, formatSmall)
  },
  {
    title: "same top token",
    help: "Share of positions with the dense run's most likely token",
    cell: ({ topAgreement }) => interval(topAgreement, formatShare)
  },
  {
    title: "Δ ln perplexity",
    help: "Above 0: this way is worse than the dense run",
    cell: ({ deltaLogPerplexity }) => interval(deltaLogPerplexity, formatSmall)
  },
  {
    title: "recall",
    help: "Of the neurons that fire, how many were selected",
    cell: ({ recall }) => orNothing(recall, ({ value }) => formatShare(value))
  },
  {
    title: "precision",
    help: "Of the neurons selected, how many fire",
    cell: ({ precision }) => orNothing(precision, ({ value }) => formatShare(value))
  },
  {
    title: "neurons",
    help: "Share of neurons computed while decoding",
    cell: ({ decode }) => orNothing(decode, ({ activeShare }) => formatShare(activeShare))
  },
  {
    title: "read a token",
    help: "Weights, the predictor's among them, and the KV cache; of a bound, without what it reads to look",
    cell: ({ decode }) => orNothing(decode, ({ bytesPerToken }) => formatBytes(bytesPerToken))
  },
  {
    title: "of it predictor",
    help: "What the predictor reads of its own weights",
    cell: ({ decode, oracle }) =>
      orNothing(oracle ? undefined : decode, ({ predictorBytes }) => formatBytes(predictorBytes))
  },
  {
    title: "decode/s",
    help: "Tokens a second, one at a time; the median, and the slowest and fastest window",
    cell: ({ decode, oracle }) =>
      orNothing(oracle ? undefined : decode, ({ tokensPerSecond }) => interval(tokensPerSecond, formatRate))
  },
  {
    title: "roofline/s",
    help: "Measured bandwidth over the bytes that this way reads: nothing that reads as much is faster",
    cell: ({ decode }) => orNothing(decode?.rooflineTokensPerSecond, formatRate)
  },
  {
    title: "of roofline",
    help: "What was reached of that",
    cell: ({ decode, oracle }) =>
      orNothing(
        decode?.rooflineTokensPerSecond && !oracle
          ? decode.tokensPerSecond.value / decode.rooflineTokensPerSecond
          : undefined,
        formatShare
      )
  },
  {
    title: "oracle's KL",
    help: "KL divergence of an oracle that computes as many neurons: what a perfect choice would lose",
    cell: ({ oracleDivergence }) => orNothing(oracleDivergence, formatSmall)
  },
  {
    title: "writes the same",
    help: "Tokens of a free continuation before the first that the dense run would not have written, on average",
    cell: ({ commonPrefix }) => orNothing(commonPrefix, (tokens) => tokens.toFixed(1))
  },
  {
    title: "front",
    help: "No other way loses less for as few bytes (bytes), or for as many tokens a second (speed)",
    cell: ({ onBytesFront, onSpeedFront }) =>
      [...(onBytesFront ? ["bytes"] : []), ...(onSpeedFront ? ["speed"] : [])].join(", ") || nothing
  }
]

/** "Dense: 9.5 MB a token at 1,900/s, 71% of the bandwidth." */
export const denseLine = ({ dense }: ModelSummary): string => {
  if (dense === undefined) return "The dense run was not timed."
  const { bytesPerToken, tokensPerSecond, bandwidthShare } = dense
  const ofBandwidth =
    bandwidthShare === undefined ? "" : `, ${formatShare(bandwidthShare)} of the bandwidth that was measured beside it`
  return `The dense run reads ${formatBytes(bytesPerToken)} a token and decodes ${formatRate(tokensPerSecond)} tokens/s${ofBandwidth}.`
}
