/**
 * Guesses which neurons fire from signs alone: where a neuron's weights have the signs of the hidden vector in enough places, their product is
 * likely positive. What is proposed is confirmed by the FFN itself; what is missed is lost. This half prepares, kernels/ selects.
 */
import {
  definePlugin,
  type Model,
  nativeKernels,
  openNativeSelector,
  PredictorFailure,
  type PluginUse,
  readTensor,
  usePlugin
} from "@powerinfer/core"
import { Effect, Schema } from "effect"
import { signBits } from "../predictor/signs.ts"

const name = "plugin_name"
const defaultAgreement = 0.48
const kernels = nativeKernels({ module: import.meta.url, name })

const Options = Schema.Struct({
  agreement: Schema.optionalKey(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).annotate({
      description: `The least share of places in which the signs must be the same, lower: more neurons, fewer misses; absent: ${defaultAgreement}`
    })
  )
})

/** Of every block, the matrix whose products decide whether a neuron fires. u32[block_count, ffn_width, ceil(hidden_width / 32)] */
export const readSigns = ({ gguf, blocks, shape }: Model): Uint32Array<ArrayBuffer> => {
  const { hiddenWidth, ffnWidth } = shape
  const blockWords = ffnWidth * Math.ceil(hiddenWidth / 32)
  const signs = new Uint32Array(blocks.length * blockWords)
  for (const [block, { gate, up }] of blocks.entries()) {
    signs.set(signBits(readTensor(gguf, (gate ?? up).weight), hiddenWidth), block * blockWords)
  }
  return signs
}

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "0.1.0",
  engine: "engine_range",
  module: import.meta.url,
  kernels,
  options: Options,
  open: Effect.fnUntraced(function* ({ agreement = defaultAgreement }, context) {
    const signs = yield* Effect.try({
      try: () => readSigns(context.model),
      catch: (cause) => new PredictorFailure({ predictor: name, reason: String(cause) })
    })
    return yield* openNativeSelector(kernels, context, { options: { agreement }, arrays: { signs } })
  })
})

export default plugin

/** The predictor, for an engine to open. */
export const use = (options: typeof Options.Encoded = {}): PluginUse<"predictor"> => usePlugin(plugin, options)
