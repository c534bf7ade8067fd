/** Drops neurons whose activation is small, so that models whose activation makes no zeros become sparse too. */
import {
  definePlugin,
  type FfnThresholds,
  openPredictorWeights,
  type PluginUse,
  PredictorFailure,
  usePlugin,
  writePredictorWeights
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fitThresholds, methods } from "./fit_thresholds.ts"

const predictor = "threshold"
const defaultMethod = "wina"
const defaultSparsity = 0.5

const Options = Schema.Struct({
  file: Schema.optionalKey(Schema.String.annotate({ description: "Its thresholds, as powerinfer train wrote them" })),
  method: Schema.optionalKey(
    Schema.Literals(methods).annotate({
      description: `For training. cats: |f(gate)|; wina: that, times the norms of up and down; teal: |activation|; default ${defaultMethod}`
    })
  ),
  sparsity: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThan(1)).annotate({
      description: `For training: share of every block's neurons that is dropped; default ${defaultSparsity}`
    })
  )
})

/** Where the thresholds lie; how they are found. */
export type ThresholdOptions = typeof Options.Type

const names = {
  gate: (block: number) => `blk.${block}.gate_threshold`,
  activation: (block: number) => `blk.${block}.activation_threshold`
}

const plugin = definePlugin({
  kind: "predictor",
  name: predictor,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,

  open: Effect.fnUntraced(function* ({ file }, { model }) {
    if (file === undefined) {
      const reason = "it has no file of thresholds; make one with: powerinfer train threshold"
      return yield* new PredictorFailure({ predictor, reason })
    }
    const weights = yield* openPredictorWeights({ predictor, path: file, model })
    const { ffnWidth, blockCount } = model.shape
    const read = (name: string) =>
      weights.gguf.tensors.has(name) ? weights.values(name, [ffnWidth]) : Effect.succeed(undefined)
    const thresholds: Array<FfnThresholds> = []
    for (let block = 0; block < blockCount; block++) {
      const gate = yield* read(names.gate(block))
      const activation = yield* read(names.activation(block))
      if (gate === undefined && activation === undefined) {
        const reason = `${file} has no thresholds of block ${block}; make it again with: powerinfer train threshold`
        return yield* new PredictorFailure({ predictor, reason })
      }
      thresholds.push({ ...(gate && { gate }), ...(activation && { activation }) })
    }
    return {
      proposes: "every",
      confirms: true,
      exact: false,
      thresholds,
      select: (_block, _hidden, active) => active.fill()
    }
  }),

  train: Effect.fnUntraced(function* (options, context) {
    const { method = defaultMethod, sparsity = defaultSparsity } = options
    const blocks = fitThresholds(method, sparsity, context)
    yield* writePredictorWeights(
      { predictor, path: context.out, model: context.model },
      {
        metadata: [
          ["powerinfer.threshold.method", "string", method],
          ["powerinfer.threshold.sparsity", "f32", sparsity]
        ],
        tensors: blocks.map(({ kind, thresholds }, block) => ({
          name: names[kind](block),
          type: "F32",
          shape: [thresholds.length],
          chunks: () => [new Uint8Array(thresholds.buffer)]
        }))
      }
    )
    return { ...options, file: context.out }
  })
})

export default plugin

/** Thresholds from a file, for an engine to open. */
export const threshold = (options: ThresholdOptions): PluginUse<"predictor"> => usePlugin(plugin, options)
