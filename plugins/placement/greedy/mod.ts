/** Fills the fastest device with the neurons of the whole model that fire most often per byte. */
import {
  definePlugin,
  fillByFrequency,
  openProblem,
  PlacementImpossible,
  placingOptions,
  planOf,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const name = "greedy"

const Options = Schema.Struct({ home: placingOptions.home, profile: placingOptions.profile })

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ home, profile }, context) {
    const problem = yield* openProblem({ policy: name, context, profile, home })
    const owners = fillByFrequency(problem)
    if (owners === undefined) {
      const reason = "single neurons are left over by every device; add memory to one"
      return yield* new PlacementImpossible({ policy: name, reason })
    }
    return planOf(problem, owners)
  })
})

export default plugin

/** The neurons that fire most often on the fastest device, for an engine to open. */
export const greedy = (options: typeof Options.Encoded = {}): PluginUse<"placement"> => usePlugin(plugin, options)
