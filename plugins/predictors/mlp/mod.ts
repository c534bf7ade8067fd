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
import { Effect, type Scope } from "effect"
import { defaults, MlpOptions } from "./options.ts"
import { trainMlp } from "./train.ts"
import { readMlp } from "./weights.ts"

export { MlpOptions } from "./options.ts"

const openMlp = Effect.fnUntraced(function* (
  { file, shift = defaults.shift, confirm = defaults.confirm }: MlpOptions,
  context: PredictorContext
): Effect.fn.Return<NeuronSelector, PredictorRefusal, Scope.Scope> {
  if (file === undefined) {
    const reason = "it has no weights; train some with: powerinfer train mlp, and name them with mlp:file=PATH"
    return yield* new PredictorFailure({ predictor: "mlp", reason })
  }
  const { relu, blocks } = yield* readMlp(context.model, file)
  const shifted = blocks.map((block) => ({ ...block, thresholds: block.thresholds.map((value) => value + shift) }))
  return yield* openLowRankSelector(context, { relu, reads: "hidden", confirms: confirm, blocks: shifted })
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
