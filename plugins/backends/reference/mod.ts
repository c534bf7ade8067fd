/**
 * The reference backend: every operation as its formula, in plain TypeScript.
 *
 * Weights are dequantized to f32 once, products are summed in f64. It is what faster backends are compared with, and it runs wherever
 * JavaScript does.
 *
 * @example
 * ```ts
 * const engine = Engine.layer({ model: "model.gguf", backends: [reference()] })
 * ```
 */
import { totalmem } from "node:os"
import { definePlugin, type PluginUse, usePlugin } from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { openDevice } from "./device.ts"

const plugin = definePlugin({
  kind: "backend",
  name: "reference",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({}),
  facts: () => Effect.sync(() => ({ name: "reference", memoryBytes: totalmem() })),
  open: (_options, context) => openDevice(context)
})

export default plugin

/** The reference backend, for an engine to open. */
export const reference = (): PluginUse<"backend"> => usePlugin(plugin)
