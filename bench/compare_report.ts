// How does a comparison read: as two tables for people, as keys for programs?
import type { SpeedFigures, Spread } from "@powerinfer/core"
import { formatBytes, formatRate, formatShare } from "../apps/cli/quantities.ts"
import { speedFiguresJson, markdownTable } from "../apps/cli/speed_report.ts"

/** What one engine did: ours with one predictor, or the peer. */
export interface EngineSpeed {
  readonly name: string
  /** `dense`: ours with every neuron. Ratios are to it and to the peer. */
  readonly role: "dense" | "sparse" | "peer"
  readonly figures: SpeedFigures
  /** What the same threads read of the model's file, bytes per second. */
  readonly mappedBandwidth: Spread
  /** On decode, relative to dense, by the bytes it reads; undefined where there is none. */
  readonly bound: number | undefined
  /** Cores that worked for other processes, in the passes that count: the mean; undefined where the system does not say. */
  readonly otherLoad: number | undefined
  readonly discardedCount: number
  readonly disturbedCount: number
}

/** Engines that ran the same text of the same file in turns. */
export interface Comparison {
  readonly file: string
  readonly model: string
  readonly threads: number
  readonly promptTokens: number
  readonly engines: ReadonlyArray<EngineSpeed>
}

/** A whole run of the benchmark. */
export interface CompareReport {
  readonly machine: Readonly<Record<string, string | number>>
  readonly settings: Readonly<Record<string, unknown>>
  /** What readers of the figures must know. */
  readonly notes: ReadonlyArray<string>
  readonly comparisons: ReadonlyArray<Comparison>
}

/** Medians over medians of the same comparison. */
const ratiosOf = ({ engines }: Comparison, { figures, role, bound }: EngineSpeed) => {
  const peer = engines.find((one) => one.role === "peer")?.figures
  const dense = engines.find((one) => one.role === "dense")?.figures
  const decode = figures.decodeTokensPerSecond.median
  const toDense = role === "sparse" && dense ? decode / dense.decodeTokensPerSecond.median : undefined
  return {
    prefillToPeer:
      role !== "peer" && peer ? figures.prefillTokensPerSecond.median / peer.prefillTokensPerSecond.median : undefined,
    decodeToPeer: role !== "peer" && peer ? decode / peer.decodeTokensPerSecond.median : undefined,
    toDense,
    ofBound: toDense !== undefined && bound !== undefined ? toDense / bound : undefined
  }
}

/** `null` where there is no figure, so that every run has every key. */
export const compareJson = ({ machine, settings, notes, comparisons }: CompareReport) => ({
  machine,
  settings,
  notes,
  runs: comparisons.flatMap((comparison) =>
    comparison.engines.map((engine) => {
      const ratios = ratiosOf(comparison, engine)
      return {
        file: comparison.file,
        model: comparison.model,
        threads: comparison.threads,
        prompt_tokens: comparison.promptTokens,
        engine: engine.name,
        role: engine.role,
        ...speedFiguresJson(engine.figures),
        mapped_bandwidth_bytes_per_s: engine.mappedBandwidth.median,
        mapped_bandwidth_bytes_per_s_range: [engine.mappedBandwidth.min, engine.mappedBandwidth.max],
        prefill_ratio_to_peer: ratios.prefillToPeer ?? null,
        decode_ratio_to_peer: ratios.decodeToPeer ?? null,
        decode_ratio_to_dense: ratios.toDense ?? null,
        bound: engine.bound ?? null,
        bound_ratio: ratios.ofBound ?? null,
        other_load_cores: engine.otherLoad ?? null,
        passes_discarded: engine.discardedCount,
        passes_disturbed: engine.disturbedCount
      }
    })
  )
})

const none = "–"
const formatRatio = (ratio: number | undefined) => (ratio === undefined ? none : `${ratio.toFixed(2)}×`)
const formatRange = ({ min, max }: Spread, format: (value: number) => string) => `${format(min)}–${format(max)}`

const speedTitles = [
  "model",
  "threads",
  "prompt",
  "engine",
  "prefill/s",
  "range",
  "of llama.cpp",
  "decode/s",
  "range",
  "of llama.cpp",
  "of floor",
  "of dense",
  "bound",
  "of bound"
]

const speedCells = (comparison: Comparison, engine: EngineSpeed): ReadonlyArray<string> => {
  const { prefillTokensPerSecond, decodeTokensPerSecond, floorRatio } = engine.figures
  const ratios = ratiosOf(comparison, engine)
  return [
    formatRate(prefillTokensPerSecond.median),
    formatRange(prefillTokensPerSecond, formatRate),
    formatRatio(ratios.prefillToPeer),
    formatRate(decodeTokensPerSecond.median),
    formatRange(decodeTokensPerSecond, formatRate),
    formatRatio(ratios.decodeToPeer),
    formatShare(floorRatio),
    formatRatio(ratios.toDense),
    formatRatio(engine.bound),
    ratios.ofBound === undefined ? none : formatShare(ratios.ofBound)
  ]
}

const circumstanceTitles = [
  "model",
  "threads",
  "prompt",
  "engine",
  "floor/s",
  "read a token",
  "of bandwidth",
  "neurons active",
  "bandwidth/s",
  "range",
  "mapped file/s",
  "cores busy for others",
  "passes discarded",
  "kept disturbed"
]

const circumstanceCells = ({ figures, ...engine }: EngineSpeed): ReadonlyArray<string> => [
  formatRate(figures.floorTokensPerSecond),
  formatBytes(figures.weightBytesPerToken + figures.cacheBytesPerToken),
  formatShare(figures.bandwidthShare),
  formatShare(figures.activeShare),
  formatBytes(figures.bandwidthBytesPerSecond.median),
  formatRange(figures.bandwidthBytesPerSecond, formatBytes),
  formatBytes(engine.mappedBandwidth.median),
  engine.otherLoad === undefined ? "unknown" : engine.otherLoad.toFixed(2),
  String(engine.discardedCount),
  String(engine.disturbedCount)
]

/** Markdown: what it was measured on, how fast everything was, and under which circumstances. */
export const compareMarkdown = ({ machine, settings, notes, comparisons }: CompareReport): string => {
  const table = (
    titles: ReadonlyArray<string>,
    cells: (of: Comparison, engine: EngineSpeed) => ReadonlyArray<string>
  ) => {
    const rows = comparisons.flatMap((of) =>
      of.engines.map((engine) => [
        of.model,
        String(of.threads),
        String(of.promptTokens),
        engine.name,
        ...cells(of, engine)
      ])
    )
    return markdownTable([titles, ...rows])
  }
  const pairs = (of: Readonly<Record<string, unknown>>) =>
    Object.entries(of).map(([key, value]) => `${key.replaceAll("_", " ")} ${String(value)}`)
  return [
    [...pairs(machine), ...pairs(settings)].join(" · "),
    "",
    table(speedTitles, speedCells),
    "",
    "The floor: what a dense token must read, over the bandwidth of a buffer just before and after each pass. The bound: what reading fewer bytes can bring, relative to dense. Rates are medians.",
    "",
    table(circumstanceTitles, (_, engine) => circumstanceCells(engine)),
    "",
    ...notes.map((note) => `- ${note}`)
  ].join("\n")
}
