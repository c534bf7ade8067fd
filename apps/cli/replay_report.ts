// How is a replay shown: predictions, and beside them what was measured?
import { basename } from "node:path"
import { labelOf } from "./comparison_labels.ts"
import type { ReplayedExperiment, ReplayedWay } from "./experiment_replay.ts"
import { formatBytes, formatRate, formatShare } from "./quantities.ts"
import { markdownTable } from "./speed_report.ts"
import { textTable } from "./text_table.ts"

const titles = [
  "way",
  "recall",
  "precision",
  "proposed",
  "magnitude kept",
  "read a token",
  "of it predictor",
  "predicted/s",
  "recall, measured",
  "precision, measured",
  "read, measured",
  "decode/s, measured",
  "measured / predicted"
]

const orNothing = <A>(value: A | undefined, format: (value: A) => string): string =>
  value === undefined ? "–" : format(value)

const cells = ({ predictor, figures, tokensPerSecond, measured }: ReplayedWay): ReadonlyArray<string> => {
  const { selection, weightBytes, cacheBytes } = figures
  const share = (interval: { readonly value: number } | undefined) =>
    orNothing(interval, ({ value }) => formatShare(value))
  const ratio =
    measured?.tokensPerSecond === undefined || tokensPerSecond === undefined
      ? undefined
      : measured.tokensPerSecond / tokensPerSecond
  return [
    labelOf(predictor),
    share(selection?.recall),
    share(selection?.precision),
    share(selection?.proposedShare),
    share(selection?.magnitudeKept),
    formatBytes(weightBytes + cacheBytes),
    formatBytes(figures.predictorBytes),
    orNothing(tokensPerSecond, formatRate),
    difference(measured?.recall, selection?.recall?.value),
    difference(measured?.precision, selection?.precision?.value),
    orNothing(measured?.bytesPerToken, formatBytes),
    orNothing(measured?.tokensPerSecond, formatRate),
    orNothing(ratio, (value) => value.toFixed(2))
  ]
}

/** "93.4% (−0.2)": what was measured, and how far it is from what was predicted, in points. */
const difference = (measured: number | undefined, predicted: number | undefined): string => {
  if (measured === undefined || predicted === undefined) return "–"
  const points = (measured - predicted) * 100
  return `${formatShare(measured)} (${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(1)})`
}

const notes = ({ calibrated, refused, ways }: ReplayedExperiment): ReadonlyArray<string> => [
  calibrated
    ? "Rates: bytes over the bytes a second that the dense runs among the results reached."
    : "Rates: bytes over the bandwidth of this machine. No run is as fast; results of dense runs would calibrate them.",
  `${ways[0]?.figures.rowCount ?? 0} rows were judged: the second half of every window of the trace.`,
  ...refused.map(({ predictor, reason }) => `Not replayed: ${labelOf(predictor)}: ${reason}`)
]

export const replayText = (replayed: ReplayedExperiment): string =>
  [textTable([titles, ...replayed.ways.map(cells)]), "", ...notes(replayed)].join("\n")

export const replayMarkdown = (trace: string, replayed: ReplayedExperiment): string =>
  `${[
    `# Replay of ${trace}${replayed.ways[0] ? ` on ${basename(replayed.ways[0].file)}` : ""}`,
    markdownTable([titles, ...replayed.ways.map(cells)]),
    notes(replayed)
      .map((line) => `- ${line}`)
      .join("\n")
  ].join("\n\n")}\n`

/** The keys of `compare --replay --json`. */
export const replayJson = (trace: string, { ways, refused, calibrated }: ReplayedExperiment) => ({
  trace,
  calibrated,
  ways: ways.map(({ file, predictor, figures, tokensPerSecond, measured }) => ({
    file,
    predictor,
    rows: figures.rowCount,
    recall: figures.selection?.recall ?? null,
    precision: figures.selection?.precision ?? null,
    proposed_share: figures.selection?.proposedShare ?? null,
    magnitude_kept: figures.selection?.magnitudeKept ?? null,
    bytes_read_per_token: figures.weightBytes + figures.cacheBytes,
    predictor_bytes_read_per_token: figures.predictorBytes,
    predicted_tokens_per_s: tokensPerSecond ?? null,
    measured: measured
      ? {
          recall: measured.recall ?? null,
          precision: measured.precision ?? null,
          bytes_read_per_token: measured.bytesPerToken ?? null,
          tokens_per_s: measured.tokensPerSecond ?? null
        }
      : null
  })),
  refused
})
