/** Chooses by itself: everything on the fastest device where that has room, else as much of the model there as its memory holds. */
import {
  blockSeconds,
  definePlugin,
  expectedWork,
  fits,
  openProblem,
  type Owners,
  PlacementImpossible,
  type PlacementProblem,
  placingOptions,
  planOf,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { notesOf } from "./notes.ts"
import { waysOf } from "./ways.ts"

const name = "auto"

const Options = Schema.Struct({
  profile: placingOptions.profile,
  proposes: placingOptions.proposes.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("every" as const))),
  confirms: Schema.optionalKey(
    Schema.Boolean.annotate({
      description:
        "Does the gate confirm candidates, so that the rest of those that do not fire is not read? Absent: where the model can be sparse"
    })
  ),
  candidates: placingOptions.candidates
})

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ profile, proposes, confirms, candidates }, context) {
    const { model } = context
    // The home is the fastest device that has room for attention and the KV cache.
    const problem = yield* openProblem({ policy: name, context, profile })
    const selection = { proposes, confirms: confirms ?? model.sparse, candidateShare: candidates }
    const seconds = secondsOf(problem, expectedWork(model, problem.frequencies, selection))
    const fitting = waysOf(problem, profile !== undefined).filter((way) => fits(problem, way.owners))
    const [first, ...others] = fitting
    if (first === undefined) {
      const reason = "single neurons are left over by every device; add memory to one"
      return yield* new PlacementImpossible({ policy: name, reason })
    }
    const best = first.always
      ? first
      : others.reduce((least, way) => (seconds(way.owners) < seconds(least.owners) ? way : least), first)
    return { ...planOf(problem, best.owners), notes: notesOf(context, problem, best) }
  })
})

/** Expected seconds of all FFNs of a token. */
const secondsOf =
  ({ devices, home }: PlacementProblem, work: ReturnType<typeof expectedWork>) =>
  (owners: Owners) =>
    owners.reduce((sum, block, index) => sum + blockSeconds(block, work[index]!, devices, home).seconds, 0)

export default plugin

/** The placement that chooses by itself, for an engine to open. */
export const auto = (options: typeof Options.Encoded = {}): PluginUse<"placement"> => usePlugin(plugin, options)
