// powerinfer plugin check: does this plugin keep its contract, and what does it cost?
import { Effect } from "effect"
import { importPlugin, type Plugin, type PluginKind, type PluginUse } from "powerinfer"
import type { ContractReport, ContractResult } from "@powerinfer/core/testing"
import { exitCodeOf } from "../exit_code.ts"
import { findAnyPlugin } from "../find_any_plugin.ts"
import { InvalidUsage } from "../invalid_usage.ts"
import { print, printJson, printLine } from "../output.ts"
import { PluginCheckFailed } from "../plugin_check_failed.ts"
import { checkBackend, checkPlacement, checkPredictor, type Figure } from "../plugin_suites.ts"

export interface PluginCheckInput {
  /** NAME or NAME:OPTIONS. */
  readonly name: string
  readonly kind: PluginKind | undefined
  readonly model: string | undefined
  readonly json: boolean
}

/** Prints a line a check, then the figures. Fails with `PluginCheckFailed` if a check does. */
export const pluginCheck = Effect.fnUntraced(function* (input: PluginCheckInput) {
  const use = yield* findAnyPlugin(input.name, input.kind)
  if (input.model !== undefined && use.kind !== "predictor") {
    return yield* new InvalidUsage({ reason: `--model is for predictors, ${use.name} is a ${use.kind}` })
  }
  const onResult = input.json ? () => {} : (result: ContractResult) => printLine(resultText(result))
  const { report, figures } = yield* checkKind(use, input.model, onResult)
  const failed = report.filter(({ passed, skipped }) => !passed && !skipped).length
  const failure = new PluginCheckFailed({ kind: use.kind, name: use.name, failed, count: report.length })
  yield* input.json
    ? printJson(checkJson(use, report, figures, failed > 0 ? failure : undefined))
    : print(figuresText(report, figures))
  if (failed > 0) return yield* failure
})

/** Everything that the suites need to know, whatever the kind. */
const checkKind = Effect.fnUntraced(function* (
  { kind, name, module, options }: PluginUse,
  model: string | undefined,
  onResult: (result: ContractResult) => void
) {
  const plugin: Plugin = yield* importPlugin(kind, name, module)
  switch (plugin.kind) {
    case "predictor":
      return yield* checkPredictor(plugin, options, model, onResult)
    case "backend":
      return yield* checkBackend(plugin, options, onResult)
    case "placement":
      return yield* checkPlacement(plugin, options, onResult)
  }
})

const resultText = ({ name, passed, skipped, error }: ContractResult): string => {
  if (skipped) return `- ${name}: not measurable here`
  return passed ? `✓ ${name}` : `✗ ${name}\n    ${error?.message}`
}

const figuresText = (report: ContractReport, figures: ReadonlyArray<Figure>): string => {
  const passed = report.filter((result) => result.passed).length
  const seconds = report.reduce((sum, result) => sum + result.seconds, 0)
  const lines = figures.map(({ name, value, unit, limit }) => {
    const bound = limit === undefined ? "" : ` (at most ${limit})`
    return `${name}: ${Number(value.toPrecision(3))} ${unit}${bound}`
  })
  return [...lines, `${passed} of ${report.length} checks passed in ${seconds.toFixed(1)} s`, ""].join("\n")
}

const checkJson = (
  { kind, name, options }: PluginUse,
  report: ContractReport,
  figures: ReadonlyArray<Figure>,
  failure: PluginCheckFailed | undefined
) => ({
  plugin: { kind, name, options },
  passed: failure === undefined,
  checks: report.map(({ name: check, passed, skipped, error, seconds }) => ({
    name: check,
    passed,
    ...(skipped && { skipped }),
    ...(error && { error: error.message }),
    seconds
  })),
  figures,
  ...(failure && { error: { tag: failure._tag, message: failure.message, exit_code: exitCodeOf(failure) } })
})
