/** Another predictor for each block: by hand, or chosen on text so that enough is kept and least is read. */
import {
  attemptGguf,
  definePlugin,
  type Model,
  type OpenPredictor,
  openPredictorWeights,
  type PluginUse,
  PredictorFailure,
  usePlugin,
  writePredictorWeights
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { listOf, textsByBlock } from "./block_texts.ts"
import { choosePredictors } from "./choose.ts"
import { combineBlocks } from "./combine.ts"
import { judgeAll } from "./judge.ts"

const predictor = "per_block"
const defaultKept = 0.99

const Texts = Schema.Union([Schema.String, Schema.Array(Schema.String)])

const Options = Schema.Struct({
  blocks: Schema.optionalKey(
    Texts.annotate({
      description:
        "Predictors, separated by semicolons: one a block, or one for all and exceptions (exact_gate;0-2=every_neuron)"
    })
  ),
  file: Schema.optionalKey(
    Schema.String.annotate({ description: "The choice that powerinfer train made, instead of blocks" })
  ),
  candidates: Schema.optionalKey(
    Texts.annotate({ description: "For training: predictors to choose from, separated by semicolons" })
  ),
  kept: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).annotate({
      description: `For training: share of the activations that must be kept, the mean over blocks; default ${defaultKept}`
    })
  )
}).check(
  Schema.makeFilter(({ blocks, file }: { readonly blocks?: unknown; readonly file?: unknown }) =>
    blocks !== undefined && file !== undefined ? "give blocks or file, not both" : undefined
  )
)

/** Who stands in each block; or where that was written down; or who is to be chosen from. */
export type PerBlockOptions = typeof Options.Type

const failure = (reason: string) => new PredictorFailure({ predictor, reason })

const choiceKey = "powerinfer.per_block.predictors"

/** The texts that training wrote down, one a block. */
const readChoice = Effect.fnUntraced(function* (path: string, model: Model) {
  const { gguf } = yield* openPredictorWeights({ predictor, path, model })
  return yield* attemptGguf(() => gguf.metadata.strings(choiceKey)).pipe(
    Effect.mapError(({ message }) => failure(message))
  )
})

/** Opens each text once, however many blocks have it. */
const openDistinct = Effect.fnUntraced(function* (texts: ReadonlyArray<string>, openPredictor: OpenPredictor) {
  const distinct = [...new Set(texts)]
  const opened = yield* Effect.forEach(distinct, openPredictor)
  return texts.map((text) => opened[distinct.indexOf(text)]!)
})

const plugin = definePlugin({
  kind: "predictor",
  name: predictor,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,

  open: Effect.fnUntraced(function* ({ blocks, file }, { model, openPredictor }) {
    if (blocks === undefined && file === undefined) {
      return yield* failure(
        "it has neither blocks nor a file; give blocks, or make a file with: powerinfer train per_block"
      )
    }
    const texts = textsByBlock(blocks ?? (yield* readChoice(file!, model)), model.shape.blockCount)
    if (typeof texts === "string") return yield* failure(texts)
    return combineBlocks(yield* openDistinct(texts, openPredictor))
  }),

  train: Effect.fnUntraced(function* ({ candidates, kept = defaultKept }, context) {
    const { model, openPredictor, out, announce } = context
    const texts = listOf(candidates ?? [])
    if (texts.length === 0) return yield* failure("it has no candidates to choose from; name them with candidates")
    const selectors = yield* openDistinct(texts, openPredictor)
    const unjudged = selectors.findIndex(({ thresholds }) => thresholds?.some(({ gate }) => gate !== undefined))
    if (unjudged >= 0) {
      const reason = `${texts[unjudged]} drops neurons by their gate, which activations do not tell; leave it out of the candidates`
      return yield* failure(reason)
    }
    const judgements = judgeAll(selectors, context)
    const chosen = choosePredictors(judgements, kept)
    const figures = chosen.map((which, block) => judgements[which]![block]!)
    for (const [block, { kept: share, bytes }] of figures.entries()) {
      announce(
        `block ${block}: ${texts[chosen[block]!]} keeps ${(100 * share).toFixed(2)}%, reads ${Math.round(bytes)} bytes a token`
      )
    }
    const mean = figures.reduce((sum, figure) => sum + figure.kept, 0) / figures.length
    if (mean < kept) announce(`none of the candidates keeps ${100 * kept}%: these keep ${(100 * mean).toFixed(2)}%`)
    yield* writePredictorWeights(
      { predictor, path: out, model },
      {
        metadata: [
          [choiceKey, "string[]", chosen.map((which) => texts[which]!)],
          ["powerinfer.per_block.kept", "f32[]", Float32Array.from(figures, (figure) => figure.kept)],
          ["powerinfer.per_block.bytes", "f32[]", Float32Array.from(figures, ({ bytes }) => bytes)]
        ],
        tensors: []
      }
    )
    return { file: out }
  })
})

export default plugin

/** Another predictor for each block, for an engine to open. */
export const perBlock = (options: PerBlockOptions): PluginUse<"predictor"> => usePlugin(plugin, options)
