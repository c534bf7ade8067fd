// powerinfer train: what does a predictor learn about this model?
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import {
  identityOf,
  importPlugin,
  openCheckpoint,
  openModel,
  openPlan,
  PredictorFailure,
  trainPredictor,
  type PluginUse
} from "powerinfer"
import type { EngineFlags } from "../flags.ts"
import { readPluginText } from "../find_plugin.ts"
import { InvalidUsage } from "../invalid_usage.ts"
import { note, print, printJson } from "../output.ts"
import { pluginUses } from "../plugin_uses.ts"
import { knownPlugins } from "../plugins.ts"
import { withProgress } from "../progress.ts"
import { prepareTexts, runTexts, type TextInput } from "./profile.ts"

export interface TrainInput extends TextInput {
  readonly predictor: string
  readonly windows: number
  readonly trace: string | undefined
  readonly out: string
  readonly seed: number
  readonly json: boolean
}

/** Prints how what was learned is used. */
export const train = Effect.fnUntraced(function* (input: TrainInput) {
  const started = performance.now()
  const { use, learned } = yield* withProgress(`Training ${input.predictor}`, (announce, show) =>
    trainOn(input, announce, show)
  )
  // As it was named: a module may be no plugin of the list.
  const { name } = yield* readPluginText(input.predictor)
  const text = predictorText(name, learned)
  const seconds = (performance.now() - started) / 1000
  const changed = Object.entries(learned).filter(([key, value]) => key in use.options && use.options[key] !== value)
  if (input.json) {
    return yield* printJson({
      predictor: text,
      name: use.name,
      options: learned,
      out: input.out,
      seed: input.seed,
      seconds
    })
  }
  for (const [key, value] of changed)
    yield* note(`${key} was ${show(use.options[key])}; training made it ${show(value)}`)
  yield* print(`${input.out} in ${Math.round(seconds)} s; use it with --predictor ${quoted(text)}\n`)
}, Effect.scoped)

const trainOn = Effect.fnUntraced(function* (
  input: TrainInput,
  announce: (line: string) => void,
  show: (howFar: string) => void
) {
  if ((input.trace === undefined) === (input.texts.length === 0)) {
    return yield* new InvalidUsage({
      reason: "a predictor learns from texts or from a trace; give either TEXT or --trace FILE"
    })
  }
  // What a flag named --predictor says elsewhere, the argument says here.
  const flags: EngineFlags = { ...input, file: undefined, predictor: undefined }
  const [use] = yield* pluginUses("predictor", [input.predictor], flags)
  const known = yield* knownPlugins
  yield* requireTrainer(use!, known)
  const model = yield* openModel(input.model)
  const prepared = yield* prepareTexts(input)
  const openProbe = Effect.suspend(() => openPlan(prepared.model, prepared.options, announce)).pipe(
    Effect.map(({ home }) => home),
    Effect.mapError(({ message }) => new PredictorFailure({ predictor: use!.name, reason: message }))
  )
  const job = { model, out: input.out, seed: input.seed, known, openProbe, announce }
  if (input.trace !== undefined) {
    return { use: use!, learned: yield* trainPredictor(use!, { ...job, trace: input.trace }) }
  }

  // Kept until training is complete: one that is ended in between does not run the text again.
  const { windowTokens, threshold, settings, corpora } = prepared
  const run = { windowTokens, threshold, windows: input.windows, bos: input.bos, backends: settings.backends }
  const texts = corpora.map(({ name, sha256 }) => ({ name, sha256 }))
  const madeFor = { job: "trace to train on", model: yield* identityOf(model), texts, ...run }
  const folder = yield* openCheckpoint(`${input.out}.training`, madeFor, announce)
  const trace = join(folder.folder, "trace.arrow")
  if (!existsSync(trace))
    yield* runTexts(prepared, { trace }, announce, (howFar) => show(`(looking at the model) ${howFar}`))
  show("")
  const learned = yield* trainPredictor(use!, { ...job, trace })
  yield* folder.drop
  return { use: use!, learned }
})

/** Fails with `InvalidUsage`, which names those that learn. */
const requireTrainer = Effect.fnUntraced(function* (
  use: PluginUse<"predictor">,
  known: ReadonlyArray<{ readonly kind: string; readonly name: string; readonly module: string }>
) {
  const trains = ({ name, module }: { readonly name: string; readonly module: string }) =>
    Effect.map(importPlugin("predictor", name, module), (plugin) => "train" in plugin && plugin.train !== undefined)
  if (yield* trains(use)) return
  // One that does not load is none to recommend.
  const others = known.filter(({ kind }) => kind === "predictor")
  const able = yield* Effect.filter(others, (one) => trains(one).pipe(Effect.catch(() => Effect.succeed(false))))
  const names = able.map(({ name }) => name)
  const remedy = names.length > 0 ? `train ${names.join(", ")}` : "no plugin that is installed does"
  return yield* new InvalidUsage({ reason: `the predictor ${use.name} learns nothing; ${remedy}` })
})

const show = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** NAME:key=value,key=value, as it can be given to --predictor; as JSON where a value has a comma, a bracket or a quote. */
const predictorText = (name: string, options: Readonly<Record<string, unknown>>): string => {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  if (given.length === 0) return name
  const plain = given.every(([, value]) => /^[^,(){}[\]"\s]+$/.test(show(value)))
  return plain
    ? `${name}:${given.map(([key, value]) => `${key}=${show(value)}`).join(",")}`
    : `${name}:${JSON.stringify(options)}`
}

/** For a shell. */
const quoted = (text: string): string => (/^[\w:=,./@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
