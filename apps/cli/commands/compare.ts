// powerinfer compare: which ways to run these models does no other beat?
import { mkdirSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import {
  attemptWrite,
  compare,
  type ExperimentRun,
  type ModelSummary,
  openResults,
  type PointRecord,
  summarize,
  writeFully,
  writeWholeFile
} from "powerinfer"
import { labelOf, variantLabels } from "../comparison_labels.ts"
import { type Comparison, comparisonMarkdown } from "../comparison_markdown.ts"
import { comparisonPage } from "../comparison_page.ts"
import { comparisonColumns } from "../comparison_table.ts"
import { figuresJson, formatSmall } from "../evaluation_report.ts"
import { type ExperimentFile, readExperimentFile } from "../experiment_file.ts"
import { replayExperiment } from "../experiment_replay.ts"
import { isOracle, resolveExperiment } from "../experiment_plan.ts"
import { note, print, printJson } from "../output.ts"
import { type Chart, colorsOf, comparisonCharts } from "../pictures/comparison_charts.ts"
import { withProgress } from "../progress.ts"
import { readProvenance } from "../provenance.ts"
import { formatBytes, formatRate, formatShare } from "../quantities.ts"
import { replayJson, replayMarkdown, replayText } from "../replay_report.ts"
import { textTable } from "../text_table.ts"

export interface CompareInput {
  readonly experiment: string
  readonly out: string | undefined
  readonly replay: string | undefined
  readonly json: boolean
}

/** Runs what is missing and writes `report.md`, `report.html` and the charts beside the results. */
export const compareFile = Effect.fnUntraced(function* (input: CompareInput) {
  const written = yield* readExperimentFile(input.experiment)
  const file = input.replay === undefined ? written : { ...written, replay: resolve(input.replay) }
  const folder = input.out ?? `${basename(input.experiment).replace(/\.toml$/, "")}.results`
  if (file.replay !== undefined) return yield* replayFile(file, file.replay, folder, input.json)
  const run = yield* withProgress(`Comparing ${basename(input.experiment)}`, (announce) =>
    runExperiment(file, folder, announce)
  )
  const models = summarize(run.records, isOracle)
  const comparison = compose(file, models, run)
  yield* writeReports(folder, comparison)
  if (input.json) return yield* printJson(comparisonJson(comparison))
  yield* print(`${comparisonText(comparison)}\n`)
  yield* note(`\n${join(folder, "report.html")}, report.md, results.sqlite`)
}, Effect.scoped)

/** Prints what the trace says, and writes `replay.md` beside the results. */
const replayFile = Effect.fnUntraced(function* (file: ExperimentFile, trace: string, folder: string, json: boolean) {
  const replayed = yield* withProgress(
    `Replaying ${basename(trace)}`,
    Effect.fnUntraced(function* (announce) {
      const { experiment, threads } = yield* resolveExperiment(file)
      yield* attemptWrite(folder, () => void mkdirSync(folder, { recursive: true }))
      const results = yield* openResults(join(folder, "results.sqlite"))
      return yield* replayExperiment({ experiment, threads, trace, results, announce })
    })
  )
  const path = join(folder, "replay.md")
  yield* writeText(path, replayMarkdown(basename(trace), replayed))
  if (json) return yield* printJson(replayJson(trace, replayed))
  yield* print(`${replayText(replayed)}\n`)
  yield* note(`\n${path}`)
}, Effect.scoped)

const runExperiment = Effect.fnUntraced(function* (
  file: ExperimentFile,
  folder: string,
  announce: (line: string) => void
) {
  // Everything that can be wrong with the file is found before anything runs.
  const { experiment, threads } = yield* resolveExperiment(file)
  yield* attemptWrite(folder, () => void mkdirSync(folder, { recursive: true }))
  const results = yield* openResults(join(folder, "results.sqlite"))
  return yield* compare(experiment, {
    results,
    provenance: readProvenance(threads),
    announce,
    onPoint: ({ index, of, kept, record }) => announce(`[${index}/${of}] ${pointLine(record, kept)}`)
  })
})

/** "relu.gguf, mlp threshold=0: KL 0.0012, 97.9% same, 6.9 MB, 2,200/s (3.1 s)". */
const pointLine = ({ file, predictor, windowSeed, figures, provenance }: PointRecord, kept: boolean): string => {
  const { divergence, topAgreement, decode } = figures
  const seed = windowSeed === undefined ? "" : `, seed ${windowSeed}`
  const read = decode ? `, ${formatBytes(decode.asked.weightBytes + decode.asked.cacheBytes)} a token` : ""
  const speed = decode ? `, ${formatRate(decode.asked.tokensPerSecond.median)}/s` : ""
  const when = kept ? "kept from before" : `${provenance.seconds.toFixed(1)} s`
  return `${basename(file)}, ${labelOf(predictor)}${seed}: KL ${formatSmall(divergence.mean.value)}, ${formatShare(topAgreement.value)} same top token${read}${speed} (${when})`
}

const compose = (file: ExperimentFile, models: ReadonlyArray<ModelSummary>, run: ExperimentRun): Comparison => {
  const labels = variantLabels(models)
  const colors = colorsOf(models)
  const { windows, windowLength } = run.records[0] ?? { windows: 0, windowLength: 0 }
  const scored =
    file.protocol === "llama.cpp" ? "their second halves scored, as llama-perplexity does" : "all of them scored"
  const seeds = file.seeds.length > 0 ? `, drawn by the seeds ${file.seeds.join(", ")}` : ""
  const texts = file.texts.map((text) => basename(text)).join(", ")
  return {
    name: basename(file.path).replace(/\.toml$/, ""),
    setting: `${windows} windows of ${windowLength} tokens of ${texts}${seeds}; ${scored}.`,
    models,
    charts: models.map((model) =>
      comparisonCharts(model, { labels, colors, embedded: false }).map((chart) => ({
        ...chart,
        file: `${basename(model.file).replace(/\.gguf$/, "")}_${chart.name}.svg`
      }))
    ),
    labels,
    refused: run.refused
  }
}

const writeText = (path: string, text: string) =>
  writeWholeFile(path, (descriptor) => attemptWrite(path, () => writeFully(descriptor, new TextEncoder().encode(text))))

const writeReports = Effect.fnUntraced(function* (folder: string, comparison: Comparison) {
  const write = (name: string, text: string) => writeText(join(folder, name), text)
  const { models, labels } = comparison
  const colors = colorsOf(models)
  for (const { file, svg } of comparison.charts.flat()) yield* write(file, svg)
  yield* write("report.md", comparisonMarkdown(comparison))
  // In the page the charts take the colours of their surroundings.
  const charts = models.map((model, index) =>
    comparisonCharts(model, { labels, colors, embedded: true }).map((chart: Chart, at) => ({
      ...chart,
      file: comparison.charts[index]![at]!.file
    }))
  )
  yield* write("report.html", comparisonPage({ ...comparison, charts }, colors))
})

/** What fits a terminal; the reports have the rest. */
const shownColumns = new Set([
  "way",
  "fidelity",
  "KL divergence",
  "same top token",
  "read a token",
  "decode/s",
  "oracle's KL",
  "front"
])

const comparisonText = ({ models, labels, refused }: Comparison): string => {
  const columns = comparisonColumns.filter(({ title }) => shownColumns.has(title))
  const tables = models.map(({ file, variants }) => {
    const rows = variants.map((variant) => columns.map(({ cell }) => cell(variant, labels.get(variant.variant)!)))
    return `${basename(file)}\n${textTable([columns.map(({ title }) => title), ...rows])}`
  })
  const left = refused.map(
    ({ file, predictor, reason }) => `not run: ${basename(file)}, ${labelOf(predictor)}: ${reason}`
  )
  return [...tables, ...left].join("\n\n")
}

const comparisonJson = ({ name, models, labels, refused }: Comparison) => ({
  experiment: name,
  models: models.map(({ file, model, dense, variants }) => ({
    file,
    ...model,
    dense: dense && {
      tokens_per_s: dense.tokensPerSecond,
      bytes_read_per_token: dense.bytesPerToken,
      bandwidth_share: dense.bandwidthShare ?? null
    },
    ways: variants.map((variant) => ({
      label: labels.get(variant.variant)!,
      predictor: variant.predictor,
      placement: variant.placement,
      bound: variant.oracle,
      fidelity: variant.fidelity,
      kl_divergence: variant.divergence,
      top_agreement: variant.topAgreement,
      recall: variant.recall ?? null,
      precision: variant.precision ?? null,
      bytes_read_per_token: variant.decode?.bytesPerToken ?? null,
      active_share: variant.decode?.activeShare ?? null,
      tokens_per_s: variant.decode?.tokensPerSecond.value ?? null,
      roofline_tokens_per_s: variant.decode?.rooflineTokensPerSecond ?? null,
      oracle_kl_divergence: variant.oracleDivergence ?? null,
      on_bytes_front: variant.onBytesFront,
      on_speed_front: variant.onSpeedFront,
      points: variant.records.map((record) => ({
        key: record.key,
        window_seed: record.windowSeed ?? null,
        ...figuresJson(record.figures),
        provenance: record.provenance
      }))
    }))
  })),
  refused
})
