// A predictor for tests whose kernels are the native library it is made with: native/test/plugins/predictor.c.
import { definePlugin, openNativeSelector, type PluginKernels } from "@powerinfer/core"
import { Schema } from "effect"

/** The plugin, for a module of its own to export. */
export const nativeThreshold = (module: string, library: string) => {
  const kernels: PluginKernels = { candidates: [library], build: "cc" }
  return definePlugin({
    kind: "predictor",
    name: "native_threshold",
    version: "0.1.0",
    engine: "^0.1.0",
    module,
    kernels,
    options: Schema.Struct({
      threshold: Schema.optionalKey(Schema.Finite),
      parallel: Schema.optionalKey(Schema.Boolean),
      open_fails: Schema.optionalKey(Schema.String),
      failing_block: Schema.optionalKey(Schema.Int),
      names_beyond: Schema.optionalKey(Schema.Boolean),
      /** Words of neurons that may be named. */
      mask: Schema.optionalKey(Schema.Array(Schema.Int))
    }),
    open: ({ mask, ...options }, context) =>
      openNativeSelector(kernels, context, { options, ...(mask && { arrays: { mask: Uint32Array.from(mask) } }) })
  })
}
