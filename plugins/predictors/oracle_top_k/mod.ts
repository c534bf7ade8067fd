/**
 * Looks at the true activations and names the k largest of every row: the best that any predictor of k neurons could do. For
 * experiments; looking costs as much as the dense gate and up.
 */
import { addLargest, definePlugin, type PluginUse, usePlugin } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

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
            addLargest(activations, row, neuronCount, magnitudes, active, row)
          }
        }
      }
    })
})

export default plugin

/** The oracle, for an engine to open. */
export const oracleTopK = (options: OracleTopKOptions = {}): PluginUse<"predictor"> => usePlugin(plugin, { ...options })
