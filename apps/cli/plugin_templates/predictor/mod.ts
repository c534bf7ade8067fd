/**
 * Guesses which neurons fire from signs alone: where a neuron's weights have the signs of the hidden vector in enough places, their product is
 * likely positive. What is proposed is confirmed by the FFN itself; what is missed is lost.
 */
import { definePlugin, type Model, PredictorFailure, type PluginUse, readTensor, usePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"
import { differingBits, signBits, writeSigns } from "./signs.ts"

const name = "plugin_name"
const defaultAgreement = 0.48

const Options = Schema.Struct({
  agreement: Schema.optionalKey(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).annotate({
      description: `The least share of places in which the signs must be the same, lower: more neurons, fewer misses; absent: ${defaultAgreement}`
    })
  )
})

/** Of every block, the matrix whose products decide whether a neuron fires. u32[block_count][ffn_width, ceil(hidden_width / 32)] */
const readSigns = ({ gguf, blocks, shape }: Model): ReadonlyArray<Uint32Array> =>
  blocks.map(({ gate, up }) => signBits(readTensor(gguf, (gate ?? up).weight), shape.hiddenWidth))

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "0.1.0",
  engine: "engine_range",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ agreement = defaultAgreement }, { model }) {
    const signs = yield* Effect.try({
      try: () => readSigns(model),
      catch: (cause) => new PredictorFailure({ predictor: name, reason: String(cause) })
    })
    const { hiddenWidth, ffnWidth } = model.shape
    const wordCount = Math.ceil(hiddenWidth / 32)
    const differingMax = Math.floor((1 - agreement) * hiddenWidth)
    // Everything that `select` needs is made here: it runs for every block of every token and allocates nothing.
    const hiddenSigns = new Uint32Array(wordCount)
    return {
      proposes: "some",
      confirms: true,
      exact: false,
      select: (block, hidden, active) => {
        const ofBlock = signs[block]!
        for (let row = 0; row < hidden.rowCount; row++) {
          writeSigns(hidden.values, row * hiddenWidth, hiddenWidth, hiddenSigns, 0)
          for (let neuron = 0; neuron < ffnWidth; neuron++) {
            if (differingBits(ofBlock, neuron * wordCount, hiddenSigns, wordCount) <= differingMax)
              active.add(row, neuron)
          }
        }
      }
    }
  })
})

export default plugin

/** The predictor, for an engine to open. */
export const use = (options: typeof Options.Encoded = {}): PluginUse<"predictor"> => usePlugin(plugin, options)
