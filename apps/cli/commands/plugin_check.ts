// powerinfer plugin check: does this plugin keep its contract, and what does it cost?
import * as Effect from "effect/Effect"
import { bindPlugin, importPlugin, type Plugin, type PluginKind, type PluginUse } from "powerinfer"
import type { ContractResult } from "@powerinfer/core/testing"
import { exitCodeOf } from "../exit_code.ts"
import { findAnyPlugin } from "../find_any_plugin.ts"
import { InvalidUsage } from "../invalid_usage.ts"
import { print, printJson, printLine } from "../output.ts"
import { PluginCheckFailed } from "../plugin_check_failed.ts"
import { checkBackend, checkPlacement, checkPredictor, type Findings } from "../plugin_suites.ts"

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
  const findings = yield* checkKind(use, input.model, onResult)
  const { report } = findings
  const failed = report.filter(({ passed, skipped }) => !passed && !skipped).length
  const failure = new PluginCheckFailed({ kind: use.kind, name: use.name, failed, count: report.length })
  yield* input.json
    ? printJson(checkJson(use, findings, failed > 0 ? failure : undefined))
    : print(summaryText(findings))
  if (failed > 0) return yield* failure
})

/** Everything that the suites need to know, whatever the kind. */
const checkKind = Effect.fnUntraced(function* (
  { kind, name, module, options }: PluginUse,
  model: string | undefined,
  onResult: (result: ContractResult) => void
) {
  const plugin: Plugin = yield* importPlugin(kind, name, module)
  // Once before any check: with wrong options all of them would fail.
  yield* bindPlugin(plugin, options)
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

const summaryText = ({ report, text }: Findings): string => {
  const passed = report.filter((result) => result.passed).length
  const skipped = report.filter((result) => result.skipped).length
  const seconds = report.reduce((sum, result) => sum + result.seconds, 0)
  const rest = skipped > 0 ? `, ${skipped} not measurable here` : ""
  const lines = text === "" ? [] : ["", text, ""]
  return [...lines, `${passed} of ${report.length} checks passed in ${seconds.toFixed(1)} s${rest}`, ""].join("\n")
}

const checkJson = (
  { kind, name, options }: PluginUse,
  { report, figures }: Findings,
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
