// How does the report of an experiment read as Markdown?
import { basename } from "node:path"
import type { ModelSummary, Provenance, RefusedPoint } from "powerinfer"
import { labelOf } from "./comparison_labels.ts"
import { comparisonColumns, denseLine } from "./comparison_table.ts"
import type { Chart } from "./pictures/comparison_charts.ts"
import { formatBytes } from "./quantities.ts"
import { markdownTable } from "./speed_report.ts"

/** An experiment with everything that its reports show. */
export interface Comparison {
  readonly name: string
  /** "valid.txt, 8 windows of 512 tokens, second halves scored". */
  readonly setting: string
  readonly models: ReadonlyArray<ModelSummary>
  /** By model, as in `models`; `file` is where a chart lies beside the report. */
  readonly charts: ReadonlyArray<ReadonlyArray<Chart & { readonly file: string }>>
  readonly labels: ReadonlyMap<string, string>
  readonly refused: ReadonlyArray<RefusedPoint>
}

/** What intervals, bounds and classes are. */
export const comparisonNotes: ReadonlyArray<string> = [
  "In parentheses: 95% intervals by bootstrap over windows; of speeds, the slowest and the fastest window.",
  "exact: the dense run's logits but for rounding; transparent: KL divergence up to 0.005; good: up to 0.03 with the same top token at 92% of positions; reject: above 0.1.",
  "Bounds: an oracle computes the true activations first and keeps the largest, so no predictor loses less at as many neurons; exact_gate is the least an exact run reads; the roofline is the measured bandwidth over the bytes that a way reads."
]

/** The whole report; pictures are files beside it. */
export const comparisonMarkdown = (comparison: Comparison): string => {
  const { name, setting, models, charts, labels, refused } = comparison
  const sections = models.map((model, index) => {
    const rows = model.variants.map((variant) =>
      comparisonColumns.map(({ cell }) => cell(variant, labels.get(variant.variant)!))
    )
    const pictures = charts[index]!.map(({ caption, file }) => `![${caption}](${file})\n\n${caption}.`)
    return [
      `## ${basename(model.file)}`,
      denseLine(model),
      markdownTable([comparisonColumns.map(({ title }) => title), ...rows]),
      ...pictures
    ].join("\n\n")
  })
  return `${[
    `# ${name}`,
    setting,
    ...sections,
    ...(refused.length > 0
      ? [
          `## Not run\n\n${refusedLines(refused)
            .map((line) => `- ${line}`)
            .join("\n")}`
        ]
      : []),
    `## How it was measured\n\n${[...comparisonNotes, ...provenanceLines(models)].map((line) => `- ${line}`).join("\n")}`
  ].join("\n\n")}\n`
}

export const refusedLines = (refused: ReadonlyArray<RefusedPoint>): ReadonlyArray<string> =>
  refused.map(({ file, predictor, reason }) => `${basename(file)}, ${labelOf(predictor)}: ${reason}`)

/** Machines, versions and commands: one line for each that the points have. */
export const provenanceLines = (models: ReadonlyArray<ModelSummary>): ReadonlyArray<string> => {
  const records = models.flatMap(({ variants }) => variants.flatMap((variant) => variant.records))
  const all = records.map(({ provenance }) => provenance)
  const dates = all.map(({ date }) => date).sort()
  const seconds = all.reduce((sum, one) => sum + one.seconds, 0)
  const lines = new Set(all.flatMap((one) => [machineLine(one), versionLine(one), commandLine(one)]))
  return [
    ...[...lines].sort((a, b) => kinds.indexOf(a.split(":")[0]!) - kinds.indexOf(b.split(":")[0]!)),
    ...(dates.length > 0
      ? [`Measured: ${dates[0]} to ${dates.at(-1)}, ${Math.round(seconds)} s of work in ${all.length} points`]
      : [])
  ]
}

const kinds = ["Machine", "Versions", "Command"]

const machineLine = ({ machine }: Provenance): string => {
  const bandwidth = machine.bandwidthBytesPerSecond
  // Measured anew by each command: two digits do not make a machine another one.
  const speed = bandwidth === undefined ? "" : `, reads ${formatBytes(Number(bandwidth.toPrecision(2)))}/s`
  return `Machine: ${machine.cpu}, ${machine.isas.at(-1) ?? "no native kernels"}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)} of memory${speed}`
}

const versionLine = ({ versions, commit }: Provenance): string => {
  const named = Object.entries(versions).map(([program, version]) => `${program} ${version}`)
  return `Versions: ${[...named, ...(commit === undefined ? [] : [`commit ${commit}`])].join(", ")}`
}

const commandLine = ({ command }: Provenance): string => `Command: powerinfer ${command.join(" ")}`
