/**
 * Proposes the share of a block's neurons whose weights have most signs in common with the hidden vector. This half packs the signs of the gate's
 * weights, one bit each; kernels/nearest_signs.c counts and chooses.
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

const name = "nearest_signs"
const defaultShare = 0.3
const kernels = nativeKernels({ module: import.meta.url, name })

const Options = Schema.Struct({
  share: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).annotate({
      description: `The part of a block's neurons to propose, rounded up; absent: ${defaultShare}`
    })
  )
})

/** How many neurons to propose. */
export type NearestSignsOptions = typeof Options.Type

/**
 * Which weights of the matrices that decide whether a neuron fires are above zero.
 *
 * - returns  u32[block_count, ffn_width, word_count] with word_count = ceil(hidden_width / 32); bit i % 32 of word i / 32 is column i
 */
export const readSigns = ({ gguf, blocks, shape }: Model): Uint32Array<ArrayBuffer> => {
  const { hiddenWidth, ffnWidth } = shape
  const wordCount = Math.ceil(hiddenWidth / 32)
  const signs = new Uint32Array(blocks.length * ffnWidth * wordCount)
  for (const [block, { gate, up }] of blocks.entries()) {
    const weights = readTensor(gguf, (gate ?? up).weight)
    for (let neuron = 0; neuron < ffnWidth; neuron++) {
      const word = (block * ffnWidth + neuron) * wordCount
      for (let i = 0; i < hiddenWidth; i++) {
        if (weights[neuron * hiddenWidth + i]! > 0) signs[word + (i >>> 5)]! |= 1 << (i & 31)
      }
    }
  }
  return signs
}

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "1.0.0",
  engine: "^0.1.0",
  module: import.meta.url,
  kernels,
  options: Options,
  open: Effect.fnUntraced(function* ({ share = defaultShare }, context) {
    const signs = yield* Effect.try({
      try: () => readSigns(context.model),
      catch: (cause) => new PredictorFailure({ predictor: name, reason: String(cause) })
    })
    return yield* openNativeSelector(kernels, context, { options: { share }, arrays: { signs } })
  })
})

export default plugin

/** The predictor, for an engine to open. */
export const nearestSigns = (options: NearestSignsOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, options)
