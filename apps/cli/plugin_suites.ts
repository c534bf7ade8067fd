// Which contract suite does a plugin of each kind go through, and which figures come of it?
import { basename } from "node:path"
import {
  backendContract,
  type ContractReport,
  type ContractResult,
  copyRows,
  type DefineTest,
  type ErrorFigure,
  largestErrors,
  measureSelector,
  openFfnTruth,
  openHome,
  openTinyModel,
  placementContract,
  predictorContract,
  runContract,
  runTokens,
  type SelectorCost,
  toleratingCodes,
  predictorContext
} from "@powerinfer/core/testing"
import * as Effect from "effect/Effect"
import {
  type BackendPlugin,
  bindPlugin,
  type HiddenRows,
  importPlugin,
  loadPlugin,
  type Model,
  openModel,
  type PlacementPlugin,
  type PredictorPlugin
} from "powerinfer"
import { findPlugin } from "./find_plugin.ts"
import { markdownTable } from "./speed_report.ts"

/** A number to report. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** Above it, the check that measured it has failed. */
  readonly limit?: number
}

/** What a suite has found. */
export interface Findings {
  readonly report: ContractReport
  readonly figures: ReadonlyArray<Figure>
  /** The same figures as people read them; empty if there are none. */
  readonly text: string
}

type OnResult = (result: ContractResult) => void
type Options = Readonly<Record<string, unknown>>

const runSuite = (define: (test: DefineTest) => void, onResult: OnResult): Effect.Effect<ContractReport> =>
  Effect.promise(() => runContract(define, onResult))

/** Policies are asked for plans; what they cost is paid once a model. */
export const checkPlacement = Effect.fnUntraced(function* (
  plugin: PlacementPlugin,
  options: Options,
  onResult: OnResult
) {
  const report = yield* runSuite((test) => placementContract({ test, plugin, options }), onResult)
  const findings: Findings = { report, figures: [], text: "" }
  return findings
})

/** The backend `reference` is the oracle. Types whose products may be made of 8-bit codes are judged accordingly. */
export const checkBackend = Effect.fnUntraced(function* (plugin: BackendPlugin, options: Options, onResult: OnResult) {
  const found = yield* findPlugin("backend", "reference")
  const oracle = yield* importPlugin("backend", found.name, found.module)
  const errors = largestErrors()
  const report = yield* runSuite(
    (test) => backendContract({ test, plugin, options, oracle, tolerance: toleratingCodes, report: errors.report }),
    onResult
  )
  const figures = errors.figures().map(({ operation, type, error, limit }): Figure => ({
    name: `largest error of ${operation}, ${type}`,
    value: error,
    unit: "standard deviations",
    limit
  }))
  const findings: Findings = { report, figures, text: errorTable(errors.figures()) }
  return findings
})

/** An operation a row, a type a column. */
const errorTable = (figures: ReadonlyArray<ErrorFigure>): string => {
  const types = [...new Set(figures.map(({ type }) => type))]
  const operations = [...new Set(figures.map(({ operation }) => operation))]
  const cell = (of: ErrorFigure | undefined): string => of?.error.toExponential(1) ?? ""
  const row = (operation: string) => [
    operation,
    ...types.map((type) => cell(figures.find((one) => one.operation === operation && one.type === type)))
  ]
  const limits = types.map((type) => String(figures.find((one) => one.type === type)!.limit))
  return [
    "Largest errors against the oracle, in standard deviations of what it says:",
    markdownTable([["operation", ...types], ...operations.map(row), ["allowed", ...limits]])
  ].join("\n")
}

/** On tiny models, and measured on `path` if it is given: with the model's own hidden vectors, which the cpu backend makes. */
export const checkPredictor = Effect.fnUntraced(function* (
  plugin: PredictorPlugin,
  options: Options,
  path: string | undefined,
  onResult: OnResult
) {
  const model = path === undefined ? undefined : yield* openModel(path)
  const onModel = model !== undefined && plugin.train === undefined && !(yield* opensTinyModel(plugin, options))
  const costs: Array<NamedCost> = []
  const report = yield* runSuite(
    (test) =>
      predictorContract({
        test,
        plugin,
        options,
        ...(onModel && { models: [[basename(path!), Effect.succeed(model)]] }),
        ...(model === undefined && { report: (cost) => costs.push(cost) })
      }),
    onResult
  )
  if (model !== undefined) costs.push(yield* measureOnModel(plugin, options, model, basename(path!)))
  const figures = costs.flatMap(selectFigures)
  const text = figures.map(({ name, value, unit }) => `${name}: ${Number(value.toPrecision(3))} ${unit}`).join("\n")
  const findings: Findings = { report, figures, text }
  return findings
})

interface NamedCost extends SelectorCost {
  readonly model: string
}

/** What a selector in TypeScript costs. */
const selectFigures = ({ model, ...cost }: NamedCost): ReadonlyArray<Figure> => [
  { name: `select on ${model}`, value: cost.nanosecondsPerCall / 1000, unit: "µs a block" },
  { name: `select on ${model}, fastest`, value: cost.nanosecondsAtBest / 1000, unit: "µs a block" },
  ...(cost.bytesPerCall === undefined
    ? []
    : [{ name: `select on ${model} allocates`, value: cost.bytesPerCall, unit: "bytes a call" }]),
  ...(cost.nanosecondsOverBuiltIn === undefined
    ? []
    : [
        {
          name: `select on ${model}, called by a native device, over a built-in kernel`,
          value: cost.nanosecondsOverBuiltIn / 1000,
          unit: "µs a call"
        }
      ]),
  { name: `select on ${model} names`, value: cost.neuronsPerRow, unit: "neurons a row" }
]

/** Whether it is one that only models of its own can check. */
const opensTinyModel = (plugin: PredictorPlugin, options: Options): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu" })
    const predictor = yield* bindPlugin(plugin, options)
    yield* predictor.open(predictorContext(model, { probe: openFfnTruth(model), rowCountMax: 1 }))
  }).pipe(Effect.scoped, Effect.isSuccess)

/** Tokens of a text that nobody has written: enough for the model to settle. */
const textLength = 16

/** Opens the selector as an engine would and measures it on the last row of a text, block by block. */
const measureOnModel = Effect.fnUntraced(function* (
  plugin: PredictorPlugin,
  options: Options,
  model: Model,
  name: string
) {
  const backend = yield* Effect.flatMap(findPlugin("backend", "cpu"), loadPlugin)
  // Dense: nothing is written beside the model.
  const home = yield* openHome(backend, model, { rowCountMax: 1, sparse: false })
  const tokens = Array.from({ length: textLength }, (_, at) => (at * 7919 + 1) % model.shape.vocabularySize)
  const rows: Array<HiddenRows> = []
  const select = (block: number, hidden: HiddenRows) => {
    rows[block] = copyRows(hidden)
    return undefined
  }
  yield* runTokens(home, model, tokens, { rowCount: 1, select })
  const predictor = yield* bindPlugin(plugin, options)
  const selector = yield* predictor.open(predictorContext(model, { probe: home, rowCountMax: 1 }))
  const cost: NamedCost = { model: name, ...measureSelector({ selector, model, rows: (block) => rows[block]! }) }
  return cost
}, Effect.scoped)
