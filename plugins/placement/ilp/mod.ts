/** Places neurons by an integer program, as PowerInfer does: the most firing on fast devices that their memory and the cost of hand-offs allow. */
import {
  definePlugin,
  fits,
  openProblem,
  ownedBy,
  PlacementImpossible,
  placingOptions,
  planOf,
  type PluginUse,
  usePlugin
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { groupNeurons, readOwners, writeProgram } from "./program.ts"
import { shortfall, solve } from "./solve.ts"

const name = "ilp"

const Options = Schema.Struct({
  home: placingOptions.home,
  profile: placingOptions.profile,
  group: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 20 }))
    .annotate({ description: "Neurons of a block that are placed together, by firing frequency" })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(64))),
  timeLimit: Schema.Finite.check(Schema.isBetween({ minimum: 0.1, maximum: 100 }))
    .annotate({ description: "Seconds that the solver may take" })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(30))),
  gap: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    .annotate({ description: "How far from the optimum the solver may stop, as a share of it" })
    .pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(0.0001)))
})

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ home, profile, group, timeLimit, gap }, context) {
    const problem = yield* openProblem({ policy: name, context, profile, home })
    const impossible = (reason: string) => new PlacementImpossible({ policy: name, reason })
    if (problem.devices.length === 1) return planOf(problem, ownedBy(0, problem.heldBytes.length, problem.ffnWidth))

    const groups = groupNeurons(problem, group)
    const solved = yield* solve(writeProgram(problem, groups), { timeLimitSeconds: timeLimit, gap })
    if (solved.columns === undefined) {
      return yield* impossible(
        solved.status === "infeasible"
          ? `no division into groups of ${group} fits the devices where each pays for its hand-off; take smaller groups or add memory`
          : `the solver found no plan in ${timeLimit} s; raise timeLimit or take larger groups`
      )
    }
    const owners = readOwners(problem, groups, solved.columns)
    if (!fits(problem, owners))
      return yield* impossible("the solver's plan exceeds the memory; take another group size")
    const short = shortfall(solved, timeLimit)
    return { ...planOf(problem, owners), ...(short !== undefined && { notes: [`${name}: ${short}`] }) }
  })
})

export default plugin

/** The plan of PowerInfer's integer program, for an engine to open. */
export const ilp = (options: typeof Options.Encoded = {}): PluginUse<"placement"> => usePlugin(plugin, options)
