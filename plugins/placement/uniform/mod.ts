/** Gives the fastest device the same share of every block, without looking at which neurons fire. */
import {
  definePlugin,
  fillEvenly,
  lowestFirst,
  openProblem,
  PlacementImpossible,
  placingOptions,
  planOf,
  type PluginUse,
  randomFromSeed,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const name = "uniform"

const Options = Schema.Struct({
  home: placingOptions.home,
  seed: Schema.optionalKey(
    Schema.Int.check(Schema.isUint32()).annotate({
      description: "Which neurons of a block go where is drawn with it; absent: those of the lowest ids to the fastest"
    })
  )
})

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ home, seed }, context) {
    const problem = yield* openProblem({ policy: name, context, home })
    const owners = fillEvenly(problem, orderOf(problem.ffnWidth, seed))
    if (owners === undefined) {
      const reason = "the same share of every block leaves no room for single neurons; add memory to a device"
      return yield* new PlacementImpossible({ policy: name, reason })
    }
    return planOf(problem, owners)
  })
})

export default plugin

/** The order in which a block's neurons are given out: by id, or shuffled, every block in its own way (Fisher and Yates). */
export const orderOf = (ffnWidth: number, seed: number | undefined): ((block: number) => Uint32Array) => {
  if (seed === undefined) return () => lowestFirst(ffnWidth)
  const random = randomFromSeed(seed)
  return () => {
    const order = lowestFirst(ffnWidth)
    for (let last = ffnWidth - 1; last > 0; last--) {
      const other = Math.floor(random.nextUniform() * (last + 1))
      ;[order[last], order[other]] = [order[other]!, order[last]!]
    }
    return order
  }
}

/** The same share of every block, for an engine to open. */
export const uniform = (options: typeof Options.Encoded = {}): PluginUse<"placement"> => usePlugin(plugin, options)
