/**
 * Compares the signs of the input with those of a neuron's gate: where enough of them agree, the neuron may fire. One bit a weight, no training; the real
 * gate confirms.
 */
import {
  definePlugin,
  openNativeSelector,
  type PluginUse,
  readFiringRows,
  requireZeros,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { packSigns, signRowBytes } from "./signs.ts"

const name = "sign_bits"
const defaultMargin = 0.75
const defaultPlanes = 2

const Options = Schema.Struct({
  margin: Schema.optionalKey(
    Schema.Finite.annotate({
      description: `How much less than half of the signs may agree, in standard deviations of chance; more misses less and reads more; default ${defaultMargin}`
    })
  ),
  planes: Schema.optionalKey(
    Schema.Literals([1, 2, 3]).annotate({
      description: `Bits of the input's magnitude that signs are weighed by; 1: all alike, as in the paper; default ${defaultPlanes}`
    })
  ),
  confirm: Schema.optionalKey(
    Schema.Boolean.annotate({ description: "The FFN computes the real gate of the candidates first; default true" })
  )
})

/** How many signs must agree, and how they are weighed. */
export type SignBitsOptions = typeof Options.Type

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ margin = defaultMargin, planes = defaultPlanes, confirm = true }, context) {
    const { model, announce } = context
    const { blockCount, hiddenWidth, ffnWidth } = model.shape
    yield* requireZeros(name, model)
    const arrays: Record<string, Uint8Array | Float32Array> = {}
    for (let block = 0; block < blockCount; block++) {
      announce(`${name}: the signs of block ${block + 1} of ${blockCount}`)
      const { weights, bias, inputLength } = yield* readFiringRows(name, model, block)
      arrays[`signs.${block}`] = packSigns(weights, hiddenWidth)
      arrays[`thresholds.${block}`] = Float32Array.from({ length: ffnWidth }, (_, neuron) => {
        if (bias === undefined) return -margin
        // What the bias is worth in scores, which are gate · x / (|gate| |x| / √width) but for what signs do not say.
        const row = weights.subarray(neuron * hiddenWidth, (neuron + 1) * hiddenWidth)
        const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) * inputLength
        return -margin - (length > 0 ? (bias[neuron]! * Math.sqrt(hiddenWidth)) / length : 0)
      })
    }
    const selector = yield* openNativeSelector({ builtin: name }, context, { options: { planes }, arrays })
    const bytes = ffnWidth * (signRowBytes(hiddenWidth) + 4)
    return { ...selector, confirms: confirm, selectionBytes: Array.from({ length: blockCount }, () => bytes) }
  })
})

export default plugin

/** The sign bits, for an engine to open. */
export const signBits = (options: SignBitsOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, options)
