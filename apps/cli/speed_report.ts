// How are measured speeds shown: as a table for people, as keys for programs?
import type { SpeedFigures, Spread, SubjectFigures } from "powerinfer"
import { formatBytes, formatRate, formatShare } from "./quantities.ts"

/** The keys of `bench --json`. Rates are medians; their spread stands beside them. */
export const speedJson = (figures: SubjectFigures) => ({
  predictor: figures.name,
  fidelity: figures.fidelity,
  ...speedFiguresJson(figures)
})

/** The part of it that any engine has. */
export const speedFiguresJson = (figures: SpeedFigures) => ({
  prefill_tokens_per_s: figures.prefillTokensPerSecond.median,
  prefill_tokens_per_s_range: rangeOf(figures.prefillTokensPerSecond),
  decode_tokens_per_s: figures.decodeTokensPerSecond.median,
  decode_tokens_per_s_range: rangeOf(figures.decodeTokensPerSecond),
  floor_tokens_per_s: figures.floorTokensPerSecond,
  floor_ratio: figures.floorRatio,
  floor_bytes_per_token: figures.floorBytesPerToken,
  bytes_read_per_token: figures.weightBytesPerToken + figures.cacheBytesPerToken,
  weight_bytes_read_per_token: figures.weightBytesPerToken,
  cache_bytes_read_per_token: figures.cacheBytesPerToken,
  bytes_read_per_s: figures.bandwidthShare * bandwidthOf(figures),
  bandwidth_share: figures.bandwidthShare,
  bandwidth_bytes_per_s: bandwidthOf(figures),
  bandwidth_bytes_per_s_range: rangeOf(figures.bandwidthBytesPerSecond),
  active_share: figures.activeShare
})

/** Column titles of `speedCells`. */
const speedColumns = [
  "predictor",
  "prefill/s",
  "decode/s",
  "range",
  "floor/s",
  "of floor",
  "read a token",
  "read/s",
  "of bandwidth",
  "neurons active"
] as const

/** One row of the table. */
const speedCells = (figures: SubjectFigures): ReadonlyArray<string> => [
  figures.name,
  formatRate(figures.prefillTokensPerSecond.median),
  formatRate(figures.decodeTokensPerSecond.median),
  rangeOf(figures.decodeTokensPerSecond).map(formatRate).join("–"),
  formatRate(figures.floorTokensPerSecond),
  formatShare(figures.floorRatio),
  formatBytes(figures.weightBytesPerToken + figures.cacheBytesPerToken),
  formatBytes(figures.bandwidthShare * bandwidthOf(figures)),
  formatShare(figures.bandwidthShare),
  formatShare(figures.activeShare)
]

/** A Markdown table, and below it what the floor was counted with. */
export const speedTable = (figures: ReadonlyArray<SubjectFigures>): string => {
  const [first] = figures
  if (!first) return ""
  const { median, min, max } = first.bandwidthBytesPerSecond
  return [
    markdownTable([speedColumns, ...figures.map(speedCells)]),
    "",
    `The floor is ${formatBytes(first.floorBytesPerToken)} a token (every weight once, the KV cache) over a bandwidth of`,
    `${formatBytes(median)}/s, ${formatBytes(min)} to ${formatBytes(max)} around the repetitions; rates are medians.`
  ].join("\n")
}

/** The first row holds the titles; columns are padded, so that it reads as text too. */
export const markdownTable = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join("\n")
}

const rangeOf = ({ min, max }: Spread): ReadonlyArray<number> => [min, max]

const bandwidthOf = ({ bandwidthBytesPerSecond }: SpeedFigures): number => bandwidthBytesPerSecond.median
