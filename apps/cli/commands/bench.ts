// powerinfer bench: how fast does the model run here, beside what the memory allows?
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import {
  measureBandwidth,
  measureSpeed,
  type Model,
  openModel,
  openPlan,
  type PluginUse,
  type SubjectFigures
} from "powerinfer"
import { engineOptions, settingsJson } from "../engine_settings.ts"
import type { EngineFlags } from "../flags.ts"
import { note, print, printJson } from "../output.ts"
import { pluginReport } from "../plugin_report.ts"
import { profileJson, profileText } from "../profile_report.ts"
import { withProgress } from "../progress.ts"
import type { SettingsFile } from "../settings_file.ts"
import { speedJson, speedTable } from "../speed_report.ts"

export interface BenchInput extends Omit<EngineFlags, "predictor" | "ctx"> {
  readonly model: string
  readonly predictors: ReadonlyArray<string>
  readonly promptTokens: number
  readonly tokens: number
  readonly repetitions: number
  readonly seed: number
  readonly profile?: boolean
  readonly json: boolean
}

/** Prints a table, or JSON: the figures of the first predictor at the top, those of all under `runs`. */
export const bench = Effect.fnUntraced(function* (input: BenchInput) {
  const { model, figures, settings } = yield* withProgress(`Measuring ${basename(input.model)}`, (announce) =>
    benchModel(input, announce)
  )
  const runs = figures.map((one) => ({
    ...speedJson(one),
    ...(one.profile && { profile: profileJson(one.profile) })
  }))
  if (input.json) return yield* printJson({ ...runs[0], runs, settings })
  yield* print(
    `${model.name}, ${input.promptTokens} tokens of prompt, ${input.tokens} decoded\n\n${speedTable(figures)}\n`
  )
  for (const { name, profile } of figures) if (profile) yield* note(`\n${name}: ${profileText(profile)}`)
}, Effect.scoped)

/** Opens the model once for each predictor and measures them in turns. */
export const benchModel = Effect.fnUntraced(function* (input: BenchInput, announce: (line: string) => void) {
  const model = yield* openModel(input.model)
  const predictors = input.predictors.length > 0 ? input.predictors : defaultPredictors(model, input.file)
  const opened = yield* Effect.forEach(
    predictors,
    Effect.fnUntraced(function* (predictor) {
      const options = yield* engineOptions(input.model, { ...input, predictor, ctx: undefined })
      const plan = yield* openPlan(model, options, announce)
      return { name: predictor ?? options.predictor.name, options, plan }
    })
  )
  const { options } = opened[0]!
  // The same effect for every subject: measured once a round, not once a subject.
  const bandwidth = measureBandwidth({ threads: threadsOf(options.backends) })
  const subjects = opened.map(({ name, plan }) => ({ name, plan, measureBandwidth: bandwidth }))
  const figures: ReadonlyArray<SubjectFigures> = yield* measureSpeed(subjects, {
    promptTokens: input.promptTokens,
    decodeTokens: input.tokens,
    repetitions: input.repetitions,
    cacheType: options.session?.cacheType ?? "f16",
    seed: input.seed
  })
  const { predictor: _, ...settings } = yield* settingsJson(options)
  const measured = yield* Effect.forEach(opened, ({ options }) => pluginReport(options.predictor))
  const asked = {
    prompt_tokens: input.promptTokens,
    tokens: input.tokens,
    repetitions: input.repetitions,
    seed: input.seed
  }
  return { model, figures, settings: { ...settings, predictors: measured, ...asked } }
})

/** Dense, and what makes of it what the engine does by default; of a settings file that names one, that one. */
const defaultPredictors = (model: Model, file: SettingsFile | undefined): ReadonlyArray<string | undefined> => {
  if (file && file.plugins.predictor.length > 0) return [undefined]
  return model.sparse ? ["every_neuron", "exact_gate"] : ["every_neuron"]
}

/** Bandwidth is measured with as many threads as the model runs with. */
const threadsOf = (backends: ReadonlyArray<PluginUse>): number => {
  const threads = backends.map(({ options }) => options["threads"]).find((value) => typeof value === "number")
  return threads ?? 0
}
