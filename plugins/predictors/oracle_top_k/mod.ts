/**
 * Looks at the true activations and names the k largest of every row: the best that any predictor of k neurons could do. For
 * experiments; looking costs as much as the dense gate and up.
 */
import { definePlugin, type NeuronSet, type PluginUse, usePlugin } from "@powerinfer/core"
import { Effect, Schema } from "effect"
import { kthLargest } from "./largest.ts"

const defaultShare = 0.1

const Options = Schema.Struct({
  k: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThan(0)).annotate({ description: "Neurons per row and block; absent: share says" })
  ),
  share: Schema.optionalKey(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).annotate({
      description: `The same as a share of a block's neurons, rounded up; absent, and without k: ${defaultShare}`
    })
  )
}).check(
  Schema.makeFilter(({ k, share }: { readonly k?: number; readonly share?: number }) =>
    k !== undefined && share !== undefined ? "give k or share, not both" : undefined
  )
)

/** How many neurons to name: `k`, or a `share` of each block's (default 0.1). */
export type OracleTopKOptions = typeof Options.Type

/**
 * Adds the `k` neurons of a row with the largest |activation| to `active`; of equals, the lowest ids. A zero adds nothing to the
 * FFN and is never named, so a row may get fewer.
 *
 * - `activations`  f32[row_count, ffn_width]
 * - `magnitudes`   f32[ffn_width], scratch
 */
const addLargest = (
  activations: Float32Array,
  row: number,
  k: number,
  magnitudes: Float32Array,
  active: NeuronSet
): void => {
  const ffnWidth = magnitudes.length
  const start = row * ffnWidth
  for (let neuron = 0; neuron < ffnWidth; neuron++) magnitudes[neuron] = Math.abs(activations[start + neuron]!)
  const smallest = kthLargest(magnitudes, ffnWidth, k)
  let above = 0
  for (let neuron = 0; neuron < ffnWidth; neuron++) if (Math.abs(activations[start + neuron]!) > smallest) above++
  let equalsLeft = k - above
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    const magnitude = Math.abs(activations[start + neuron]!)
    if (magnitude === 0 || magnitude < smallest) continue
    if (magnitude > smallest || equalsLeft-- > 0) active.add(row, neuron)
  }
}

const plugin = definePlugin({
  kind: "predictor",
  name: "oracle_top_k",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: ({ k, share = defaultShare }, { model, probe, rowCountMax }) =>
    Effect.sync(() => {
      const { ffnWidth } = model.shape
      const neuronCount = Math.min(k ?? Math.ceil(share * ffnWidth), ffnWidth)
      // Explicit buffers: the activations are written by native code.
      const activations = new Float32Array(new ArrayBuffer(rowCountMax * ffnWidth * 4))
      const magnitudes = new Float32Array(ffnWidth)
      return {
        proposes: "some",
        confirms: false,
        exact: false,
        select: (block, hidden, active) => {
          probe.activations(block, hidden, activations)
          for (let row = 0; row < hidden.rowCount; row++) {
            addLargest(activations, row, neuronCount, magnitudes, active)
          }
        }
      }
    })
})

export default plugin

/** The oracle, for an engine to open. */
export const oracleTopK = (options: OracleTopKOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, { ...options })
