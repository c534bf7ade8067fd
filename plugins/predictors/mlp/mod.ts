/**
 * Two thin matrices guess which neurons fire, and are trained to: score = fc2 · fc1 · x, a neuron is named above its threshold.
 */
import {
  definePlugin,
  type NeuronSelector,
  openLowRankSelector,
  type PluginUse,
  type PredictorContext,
  PredictorFailure,
  type PredictorRefusal,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { defaults, MlpOptions } from "./options.ts"
import { trainMlp } from "./train.ts"
import { readMlp, storedMlp } from "./weights.ts"

export { MlpOptions } from "./options.ts"

const openMlp = Effect.fnUntraced(function* (
  { file, shift = defaults.shift, confirm = defaults.confirm }: MlpOptions,
  context: PredictorContext
): Effect.fn.Return<NeuronSelector, PredictorRefusal, Scope.Scope> {
  const weights = yield* file === undefined ? storedMlp(context.model) : readMlp(context.model, file)
  if (weights === undefined) {
    const reason =
      "neither is there a file of weights, nor does the model's file hold any; train some with: powerinfer train mlp, and name them with mlp:file=PATH"
    return yield* new PredictorFailure({ predictor: "mlp", reason })
  }
  const blocks = weights.blocks.map((block) => ({
    ...block,
    thresholds: block.thresholds.map((value) => value + shift)
  }))
  return yield* openLowRankSelector(context, { ...weights, blocks, confirms: confirm })
})

const plugin = definePlugin({
  kind: "predictor",
  name: "mlp",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: MlpOptions,
  open: openMlp,
  train: trainMlp
})

export default plugin

/** The trained predictor, for an engine to open. */
export const mlp = (options: MlpOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, { ...options })
