// powerinfer evaluate: is a run with this predictor as good as the dense one, and what does it read?
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import {
  cutWindows,
  evaluate,
  type Evaluation,
  evaluation,
  identityOf,
  openModel,
  openPlan,
  openTokenizer,
  type PluginUse,
  type Protocol,
  textTokens
} from "powerinfer"
import { readCorpus } from "../corpus_text.ts"
import { holdingWholeBlocks } from "../auto_backends.ts"
import { engineOptions } from "../engine_settings.ts"
import { evaluationJson, evaluationText } from "../evaluation_report.ts"
import { findPlugin } from "../find_plugin.ts"
import type { EngineFlags } from "../flags.ts"
import { print, printJson } from "../output.ts"
import { pluginReport } from "../plugin_report.ts"
import { withProgress } from "../progress.ts"

export interface EvaluateInput extends EngineFlags {
  readonly model: string
  readonly texts: ReadonlyArray<string>
  readonly windows: number | undefined
  readonly windowSeed: number | undefined
  readonly protocol: Protocol
  readonly seed: number
  readonly prompts: number
  readonly decodeWindows: number
  readonly selection: boolean
  readonly out: string | undefined
  readonly json: boolean
}

/** Windows of llama.cpp's figures, where the model holds as many tokens. */
export const defaultWindowLength = 512

/** Prints the figures, and with `--out` keeps them. */
export const evaluateFiles = Effect.fnUntraced(function* (input: EvaluateInput) {
  const result = yield* withProgress(`Evaluating ${basename(input.model)}`, (announce) => run(input, announce))
  if (input.out !== undefined) yield* evaluation.write(input.out, result)
  if (input.json) return yield* printJson(evaluationJson(result))
  yield* print(`${evaluationText(result)}\n`)
}, Effect.scoped)

const run = Effect.fnUntraced(function* (input: EvaluateInput, announce: (line: string) => void) {
  const corpus = yield* readCorpus(input.texts)
  const model = yield* openModel(input.model)
  const tokenizer = yield* openTokenizer(model.gguf.metadata)
  const windowLength = input.ctx ?? input.file?.ctx ?? Math.min(defaultWindowLength, model.shape.contextLength)
  const { protocol, seed, windowSeed } = input
  const windows = yield* cutWindows(
    corpus.flatMap(({ text }) => textTokens(tokenizer, text)),
    tokenizer,
    {
      protocol,
      windowLength,
      ...(input.windows !== undefined && { windowCount: input.windows }),
      ...(windowSeed !== undefined && { windowSeed })
    }
  )
  const options = yield* engineOptions(input.model, { ...holdingWholeBlocks(input), ctx: undefined })
  const asked = yield* openPlan(model, options, announce)
  const predictor = yield* findPlugin("predictor", "every_neuron")
  const dense = yield* openPlan(model, { ...options, predictor }, announce)
  const figures = yield* evaluate(dense, asked, {
    windows,
    cacheType: options.session?.cacheType ?? "f16",
    seed,
    selection: input.selection,
    promptCount: input.prompts,
    decodeWindows: input.decodeWindows
  })
  const result: Evaluation = {
    model: yield* identityOf(model),
    corpora: corpus.map(({ name, sha256 }) => ({ name, sha256 })),
    protocol,
    windowLength,
    windows: windows.length,
    ...(windowSeed !== undefined && { windowSeed }),
    seed,
    predictor: yield* usedPlugin(options.predictor),
    placement: yield* usedPlugin(options.placement),
    backends: yield* Effect.forEach(options.backends, usedPlugin),
    figures
  }
  return result
})

/** As artifacts name it. */
const usedPlugin = Effect.fnUntraced(function* (use: PluginUse) {
  const { name, version, options } = yield* pluginReport(use)
  return { name, version, options }
})
