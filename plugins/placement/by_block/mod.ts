/** Places whole blocks, the last ones on the fastest device while its memory lasts: what llama.cpp does with `-ngl`. */
import {
  definePlugin,
  fillByBlock,
  openProblem,
  PlacementImpossible,
  placingOptions,
  planOf,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const name = "by_block"

const Options = Schema.Struct({ home: placingOptions.home })

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ home }, context) {
    const problem = yield* openProblem({ policy: name, context, home })
    const owners = fillByBlock(problem)
    if (owners === undefined) {
      const reason = "the neurons fit, but not in whole blocks; use a policy that divides blocks"
      return yield* new PlacementImpossible({ policy: name, reason })
    }
    return planOf(problem, owners)
  })
})

export default plugin

/** Whole blocks on the fastest device while its memory lasts, for an engine to open. */
export const byBlock = (options: typeof Options.Encoded = {}): PluginUse<"placement"> => usePlugin(plugin, options)
