/** Places neurons so that a token takes the least time: all devices of a block work at once, so the slowest counts, and a hand-off where there is one. */
import {
  definePlugin,
  expectedWork,
  openProblem,
  type Owners,
  type PlacementContext,
  PlacementImpossible,
  type PlacementProblem,
  placingOptions,
  planOf,
  type PluginUse,
  readingSeconds,
  sparsityFacts,
  usePlugin,
  withHome
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { balance, totalSeconds } from "./balance.ts"

const name = "makespan"

const Options = Schema.Struct({
  home: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 254 })).annotate({
      description: "Index of the device that runs attention and holds the KV cache; absent: the one that brings most"
    })
  ),
  profile: placingOptions.profile,
  proposes: placingOptions.proposes.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed("some" as const))),
  confirms: Schema.Boolean.annotate({
    description: "Does the gate confirm candidates, so that the rest of those that do not fire is not read?"
  }).pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(false))),
  candidates: placingOptions.candidates
})

const plugin = definePlugin({
  kind: "placement",
  name,
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Options,
  open: Effect.fnUntraced(function* ({ home, profile, proposes, confirms, candidates }, context) {
    const asked = yield* openProblem({ policy: name, context, profile, home })
    const work = expectedWork(context.model, asked.frequencies, { proposes, confirms, candidateShare: candidates })
    let best: { readonly problem: PlacementProblem; readonly owners: Owners; readonly seconds: number } | undefined
    for (const candidate of home === undefined ? context.devices.keys() : [asked.home]) {
      const problem = withHome(asked, context, candidate)
      const owners = problem && balance(problem, work)
      if (owners === undefined) continue
      const seconds = homeSeconds(context, candidate) + totalSeconds(problem!, work, owners)
      if (best === undefined || seconds < best.seconds) best = { problem: problem!, owners, seconds }
    }
    if (best === undefined) {
      const reason = "single neurons are left over by every device; add memory to one"
      return yield* new PlacementImpossible({ policy: name, reason })
    }
    return planOf(best.problem, best.owners)
  })
})

/** What a token takes outside of FFNs if this device is the home; the KV cache is half full on average. */
const homeSeconds = ({ model, devices, reservedBytes }: PlacementContext, home: number): number => {
  const { tokenBytes, ffnBytes } = sparsityFacts(model)
  const { cacheBytes, predictorBytes } = reservedBytes ?? { cacheBytes: 0, predictorBytes: 0 }
  const device = devices[home]!
  const bytes = tokenBytes - ffnBytes + cacheBytes / 2 + predictorBytes
  return bytes * readingSeconds(device).byte + (device.tokenOverheadSeconds ?? 0)
}

export default plugin

/** The placement with the least expected time a token, for an engine to open. */
export const makespan = (options: typeof Options.Encoded = {}): PluginUse<"placement"> => usePlugin(plugin, options)
