// powerinfer profile: which neurons of the model fire on these texts, how often, and how strongly?
import * as Effect from "effect/Effect"
import {
  attemptWrite,
  type Corpus,
  corpusOfBytes,
  type CorpusUnreadable,
  type Model,
  openCorpus,
  openModel,
  openPlan,
  openTokenizer,
  profileModel,
  type ProfileProgress,
  writeFully,
  writeWholeFile
} from "powerinfer"
import { activationJson, activationText } from "../activation_report.ts"
import { holdingWholeBlocks } from "../auto_backends.ts"
import { engineOptions, settingsJson } from "../engine_settings.ts"
import type { EngineFlags } from "../flags.ts"
import { note, print, printJson } from "../output.ts"
import { activationCurve } from "../pictures/activation_curve.ts"
import { withProgress } from "../progress.ts"
import { formatRate } from "../quantities.ts"
import { type InputFailed, readBytes } from "../text_input.ts"

/** `textFlags` as they were given, and the flags of an engine without a predictor. */
export interface TextInput extends Omit<EngineFlags, "predictor"> {
  readonly model: string
  readonly texts: ReadonlyArray<string>
  readonly bos: boolean
  readonly threshold: number | undefined
  readonly windows: number | undefined
}

export interface ProfileInput extends TextInput {
  readonly out: string | undefined
  readonly trace: string | undefined
  readonly svg: string | undefined
  readonly json: boolean
}

/** The window of the models' own evaluations, and of llama.cpp's. */
const defaultWindowTokens = 512
/** Where there are no zeros: what is left out has at most threshold² = 1% of the sum of squares. */
const defaultThreshold = (model: Model): number => (model.sparse ? 0 : 0.1)

/** Prints a summary; writes what was asked for. */
export const profile = Effect.fnUntraced(function* (input: ProfileInput) {
  const prepared = yield* prepareTexts(input)
  const { settings, windowTokens } = prepared
  const profile = yield* withProgress("Profiling", (announce, show) => runTexts(prepared, input, announce, show))
  if (input.svg !== undefined) {
    const bytes = new TextEncoder().encode(activationCurve(profile))
    const path = input.svg
    yield* writeWholeFile(path, (descriptor) => attemptWrite(path, () => writeFully(descriptor, bytes)))
  }
  const files = { out: input.out, trace: input.trace, svg: input.svg }
  if (input.json) return yield* printJson({ ...activationJson(profile), files, window_tokens: windowTokens, settings })
  yield* print(`${activationText(profile)}\n`)
  for (const [what, path] of Object.entries(files)) if (path !== undefined) yield* note(`${what}: ${path}`)
}, Effect.scoped)

/** Everything that a run of the texts depends on. */
export const prepareTexts = Effect.fnUntraced(function* (input: TextInput) {
  const corpora = yield* Effect.forEach(input.texts, openText)
  const model = yield* openModel(input.model)
  const options = yield* engineOptions(input.model, {
    ...holdingWholeBlocks(input),
    ctx: undefined,
    predictor: "every_neuron"
  })
  const settings = yield* settingsJson(options)
  return {
    input,
    corpora,
    model,
    options,
    settings,
    windowTokens: input.ctx ?? input.file?.ctx ?? Math.min(defaultWindowTokens, model.shape.contextLength),
    threshold: input.threshold ?? defaultThreshold(model)
  }
})

/** Runs the texts densely; also what `powerinfer train` does with a text. */
export const runTexts = Effect.fnUntraced(function* (
  prepared: Effect.Success<ReturnType<typeof prepareTexts>>,
  to: { readonly out?: string | undefined; readonly trace?: string | undefined },
  announce: (line: string) => void,
  show: (howFar: string) => void
) {
  const { input, corpora, model, options, settings, windowTokens, threshold } = prepared
  const tokenizer = yield* openTokenizer(model.gguf.metadata)
  const plan = yield* openPlan(model, options, announce)
  return yield* profileModel(plan, tokenizer, corpora, {
    windowTokens,
    ...(input.windows !== undefined && { windowCountMax: input.windows }),
    bos: input.bos,
    threshold,
    cacheType: options.session?.cacheType ?? "f16",
    ...(to.out !== undefined && { out: to.out }),
    ...(to.trace !== undefined && { trace: to.trace }),
    runsWith: { backends: settings.backends, placement: settings.placement },
    announce,
    onProgress: (progress) => show(progressText(progress))
  }).pipe(
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        if (to.out ?? to.trace) announce("Ended; the same command goes on from here")
      })
    )
  )
})

const openText = (path: string): Effect.Effect<Corpus, CorpusUnreadable | InputFailed> =>
  path === "-" ? Effect.flatMap(readBytes, (bytes) => corpusOfBytes("the standard input", bytes)) : openCorpus(path)

/** "12,288 tokens, 1430/s, 34%, 20 s left". */
const progressText = ({ tokenCount, seconds, share, shareAtStart }: ProfileProgress): string => {
  const left = share > shareAtStart ? (seconds * (1 - share)) / (share - shareAtStart) : 0
  const parts = [
    `${tokenCount} tokens`,
    `${formatRate(tokenCount / seconds)}/s`,
    `${Math.floor(share * 100)}%`,
    `${Math.ceil(left)} s left`
  ]
  return parts.join(", ")
}
