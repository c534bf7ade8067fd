// How is an evaluation shown: as lines for people, as keys for programs?
import type { DecodeFigures, Evaluation, EvaluationFigures, Interval } from "powerinfer"
import { formatBytes, formatRate, formatShare } from "./quantities.ts"
import { textTable } from "./text_table.ts"

/** Read a token, of everything. */
export const bytesPerToken = ({ weightBytes, cacheBytes }: DecodeFigures): number => weightBytes + cacheBytes

/** "21.92 (19.59 to 24.72)". */
export const formatInterval = (interval: Interval, format: (value: number) => string): string =>
  `${format(interval.value)} (${format(interval.low)} to ${format(interval.high)})`

/** Small numbers of any size: "0", "2.4e-9", "0.0312". */
export const formatSmall = (value: number): string =>
  value === 0 ? "0" : Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(4)

const formatPerplexity = (value: number): string => value.toPrecision(5)

/** What was run, a line on its fidelity, and a table. */
export const evaluationText = (run: Evaluation): string => {
  const { figures, predictor, windows, windowLength, protocol, corpora } = run
  const text = corpora.map(({ name }) => name).join(", ")
  const way = protocol === "llama.cpp" ? "their second halves as llama-perplexity does" : "all of them"
  const { perplexity, divergence, selection, freeRunning, decode } = figures
  const rows: Array<ReadonlyArray<string>> = [
    ["perplexity, dense", formatInterval(perplexity.dense, formatPerplexity)],
    [`perplexity, ${predictor.name}`, formatInterval(perplexity.asked, formatPerplexity)],
    ["Δ ln perplexity", formatInterval(figures.deltaLogPerplexity, formatSmall)],
    ["KL divergence", formatInterval(divergence.mean, formatSmall)],
    ["… median, 99%", `${formatSmall(divergence.median)}, ${formatSmall(divergence.p99)}`],
    ["same top token", formatInterval(figures.topAgreement, formatShare)],
    ...(selection ? selectionRows(selection) : []),
    ...(freeRunning ? [freeRunningRow(freeRunning)] : []),
    ...(decode ? decodeRows(decode) : [])
  ]
  return [
    `${run.model.name}: ${windows} windows of ${windowLength} tokens of ${text}; scored: ${way}, ${figures.scoredTokens} tokens`,
    `${predictor.name}: ${figures.fidelity}`,
    "",
    textTable(rows),
    "",
    "In parentheses: 95% intervals, by bootstrap over windows."
  ].join("\n")
}

const selectionRows = (selection: NonNullable<EvaluationFigures["selection"]>): Array<ReadonlyArray<string>> => {
  const { recall, precision, firedShare } = selection
  const known = recall && precision && firedShare
  return [
    ["neurons proposed", formatInterval(selection.proposedShare, formatShare)],
    ["magnitude kept", formatInterval(selection.magnitudeKept, formatShare)],
    ...(known
      ? [
          ["neurons that fire", formatInterval(firedShare, formatShare)],
          ["recall", formatInterval(recall, formatShare)],
          ["precision", formatInterval(precision, formatShare)]
        ]
      : [["recall, precision", "undefined: no activation of this model is zero"]])
  ]
}

const freeRunningRow = (run: NonNullable<EvaluationFigures["freeRunning"]>): ReadonlyArray<string> => [
  "writes the same",
  `${run.commonPrefix.toFixed(1)} of ${run.tokens} tokens on average over ${run.prompts} prompts; all of the first 64: ${formatShare(run.same64)}, of ${run.tokens}: ${formatShare(run.sameAll)}`
]

const decodeRows = ({ dense, asked }: NonNullable<EvaluationFigures["decode"]>): Array<ReadonlyArray<string>> => {
  const ratio = formatShare(bytesPerToken(asked) / bytesPerToken(dense))
  const own = asked.predictorBytes > 0 ? `, ${formatBytes(asked.predictorBytes)} of it by the predictor` : ""
  return [
    ["read a token", `${formatBytes(bytesPerToken(asked))}, ${ratio} of ${formatBytes(bytesPerToken(dense))}${own}`],
    [
      "decode",
      `${formatRate(asked.tokensPerSecond.median)}/s; dense ${formatRate(dense.tokensPerSecond.median)}/s; ${formatShare(asked.activeShare)} of neurons computed`
    ]
  ]
}

/** The keys of `evaluate --json`. */
export const evaluationJson = (run: Evaluation) => ({
  model: run.model,
  corpora: run.corpora,
  protocol: run.protocol,
  window_length: run.windowLength,
  windows: run.windows,
  ...(run.windowSeed !== undefined && { window_seed: run.windowSeed }),
  seed: run.seed,
  predictor: run.predictor,
  placement: run.placement,
  backends: run.backends,
  ...figuresJson(run.figures)
})

/** Figures alone: an interval is `{ value, low, high }`. */
export const figuresJson = ({ selection, freeRunning, decode, ...figures }: EvaluationFigures) => ({
  fidelity: figures.fidelity,
  scored_tokens: figures.scoredTokens,
  dense_perplexity: figures.perplexity.dense,
  perplexity: figures.perplexity.asked,
  delta_log_perplexity: figures.deltaLogPerplexity,
  kl_divergence: figures.divergence,
  top_agreement: figures.topAgreement,
  ...(selection && {
    selection: {
      proposed_share: selection.proposedShare,
      magnitude_kept: selection.magnitudeKept,
      fired_share: selection.firedShare ?? null,
      recall: selection.recall ?? null,
      precision: selection.precision ?? null,
      blocks: selection.blocks.map((block) => ({
        proposed_share: block.proposedShare,
        magnitude_kept: block.magnitudeKept,
        fired_share: block.firedShare ?? null,
        recall: block.recall ?? null,
        precision: block.precision ?? null
      }))
    }
  }),
  ...(freeRunning && {
    free_running: {
      prompts: freeRunning.prompts,
      tokens: freeRunning.tokens,
      common_prefix: freeRunning.commonPrefix,
      same_first_64: freeRunning.same64,
      same_all: freeRunning.sameAll
    }
  }),
  ...(decode && { decode: decodeJson(decode.asked), dense_decode: decodeJson(decode.dense) })
})

const decodeJson = (decode: DecodeFigures) => ({
  tokens_per_s: decode.tokensPerSecond.median,
  tokens_per_s_range: [decode.tokensPerSecond.min, decode.tokensPerSecond.max],
  bytes_read_per_token: bytesPerToken(decode),
  weight_bytes_read_per_token: decode.weightBytes,
  predictor_bytes_read_per_token: decode.predictorBytes,
  cache_bytes_read_per_token: decode.cacheBytes,
  active_share: decode.activeShare
})
