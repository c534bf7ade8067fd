/**
 * Multiplies the input by a gate of two or three bits a weight, and lets the real gate confirm what that says may fire. Needs no training: how much the
 * proxy errs is known from its own rounding.
 */
import {
  definePlugin,
  openNativeSelector,
  PredictorMismatch,
  type PluginUse,
  readFiringRows,
  requireZeros,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type ProxyBits, quantizeGate } from "./proxy.ts"

const name = "quantized_gate"
const defaultBits: ProxyBits = 3
const defaultMargin = 1.5

const Options = Schema.Struct({
  bits: Schema.optionalKey(
    Schema.Literals([2, 3]).annotate({ description: `Bits of a proxy weight; default ${defaultBits}` })
  ),
  margin: Schema.optionalKey(
    Schema.Finite.annotate({
      description: `How far below zero the proxy may be, in standard deviations of its error; more misses less and reads more; default ${defaultMargin}`
    })
  ),
  confirm: Schema.optionalKey(
    Schema.Boolean.annotate({ description: "The FFN computes the real gate of the candidates first; default true" })
  )
})

/** How coarse the proxy is, and how far it is trusted. */
export type QuantizedGateOptions = typeof Options.Type

const plugin = definePlugin({
  kind: "predictor",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ bits = defaultBits, margin = defaultMargin, confirm = true }, context) {
    const { model, announce } = context
    const { blockCount, hiddenWidth, ffnWidth } = model.shape
    yield* requireZeros(name, model)
    if (hiddenWidth % 32 !== 0) {
      const actual = `hidden width ${hiddenWidth}`
      return yield* new PredictorMismatch({ predictor: name, expected: "a multiple of 32", actual })
    }
    const arrays: Record<string, Uint8Array | Float32Array> = {}
    const selectionBytes: Array<number> = []
    for (let block = 0; block < blockCount; block++) {
      announce(`${name}: quantizing the gate of block ${block + 1} of ${blockCount}`)
      const { weights, bias, inputLength } = yield* readFiringRows(name, model, block)
      const { bytes, errors } = quantizeGate(weights, hiddenWidth, bits)
      // Scores are divided by |x|. An error that has nothing to do with x adds one of deviation |error| / √width to them.
      const thresholds = Float32Array.from(errors, (error, neuron) => {
        return (-margin * error) / Math.sqrt(hiddenWidth) - (bias?.[neuron] ?? 0) / inputLength
      })
      arrays[`proxy.${block}`] = bytes
      arrays[`thresholds.${block}`] = thresholds
      selectionBytes.push(bytes.length + 4 * ffnWidth)
    }
    const selector = yield* openNativeSelector({ builtin: name }, context, { options: { bits }, arrays })
    return { ...selector, confirms: confirm, selectionBytes }
  })
})

export default plugin

/** The quantized gate, for an engine to open. */
export const quantizedGate = (options: QuantizedGateOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, options)
