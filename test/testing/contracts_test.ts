// Goal: the contract suites that third parties rely on notice broken plugins.
// Method: each suite on plugins that are wrong in one way; the names of the tests that fail are the result.
import { test } from "bun:test"
import oracle from "@powerinfer/backend-reference"
import { definePlugin, type Device, type PlacementPlan, type PlacementPlugin } from "@powerinfer/core"
import { backendContract, type DefineTest, placementContract } from "@powerinfer/core/testing"
import { Effect, Schema, Scope } from "effect"
import { expectNoticed } from "./expect_noticed.ts"

const broken = {
  name: "broken",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({})
} as const
const neverClosed = Scope.makeUnsafe()

const brokenDevices: ReadonlyArray<
  readonly [why: string, caught: RegExp, breakIt: (device: Device) => Partial<Device>]
> = [
  [
    "leaves out the FFN of the second block",
    /runs qwen3 as the oracle does/,
    (device) => ({ mergeFfn: (block, partials) => device.mergeFfn(block, block === 1 ? [] : partials) })
  ],
  [
    "ignores the candidates",
    /stage by stage \(gated\)/,
    (device) => ({
      startFfn: (block, hidden, _active, confirms) => device.startFfn(block, hidden, undefined, confirms)
    })
  ],
  [
    "never confirms",
    /counts only neurons that fire when it confirms \(ungated\)/,
    (device) => ({ startFfn: (block, hidden, active) => device.startFfn(block, hidden, active, false) })
  ],
  [
    "has an F32 cache only",
    /rounds an F16 cache/,
    (device) => ({ openCache: (count) => device.openCache(count, "f32") })
  ],
  [
    "never frees a cache",
    /refuses a cache after its scope/,
    (device) => ({
      openCache: (count, type) => Effect.provideService(device.openCache(count, type), Scope.Scope, neverClosed)
    })
  ],
  [
    "counts nothing",
    /never back/,
    (device) => {
      const counters = device.counters()
      return { counters: () => counters }
    }
  ]
]

for (const [why, caught, breakIt] of brokenDevices) {
  test(`backendContract() notices a backend that ${why}`, async () => {
    const plugin = definePlugin({
      ...broken,
      kind: "backend",
      facts: oracle.facts,
      open: (_options, context) =>
        Effect.map(oracle.open({}, context), (device): Device => {
          const methods: Device = {
            name: "broken",
            openCache: device.openCache,
            embed: (batch) => device.embed(batch),
            attend: (batch, block) => device.attend(batch, block),
            activations: (block, hidden, into) => device.activations(block, hidden, into),
            startFfn: (...ffn) => device.startFfn(...ffn),
            mergeFfn: (block, partials) => device.mergeFfn(block, partials),
            logits: (batch) => device.logits(batch),
            counters: () => device.counters()
          }
          return { ...methods, ...breakIt(device) }
        })
    })
    const suite = (define: DefineTest) => backendContract({ test: define, plugin, oracle, types: ["F32"] })
    await expectNoticed(suite, caught)
  })
}

type Place = PlacementPlugin["open"]

const onFirst: Place = (_options, { model, devices }) =>
  Effect.succeed({
    home: 0,
    shares: Array.from({ length: model.shape.blockCount }, () => devices.map((_, i) => (i === 0 ? "all" : "none")))
  })
let calls = 0

const brokenPlacements: ReadonlyArray<readonly [why: string, caught: RegExp, place: Place]> = [
  ["plans for no device", /refuses an empty list/, onFirst],
  [
    "computes neurons twice",
    /on 2 devices, each neuron once/,
    (_options, { model, devices }) =>
      Effect.succeed({
        home: 0,
        shares: Array.from({ length: model.shape.blockCount }, () => devices.map(() => "all" as const))
      })
  ],
  [
    "changes its mind",
    /same plan/,
    (options, context) =>
      Effect.map(onFirst(options, context), (plan): PlacementPlan => ({
        ...plan,
        home: calls++ % context.devices.length
      }))
  ]
]

for (const [why, caught, open] of brokenPlacements) {
  test(`placementContract() notices a policy that ${why}`, async () => {
    const plugin = definePlugin({ ...broken, kind: "placement", open })
    await expectNoticed((define) => placementContract({ test: define, plugin }), caught)
  })
}
