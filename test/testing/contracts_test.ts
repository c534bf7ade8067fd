// Goal: the contract suites that third parties rely on notice broken plugins.
// Method: each suite on plugins that are wrong in one way; the names of the tests that fail are the result.
import { expect, test } from "bun:test"
import {
  definePlugin,
  type Device,
  type NeuronSelector,
  type PlacementPlan,
  type PlacementPlugin
} from "@powerinfer/core"
import { backendContract, type DefineTest, placementContract, predictorContract } from "@powerinfer/core/testing"
import { Effect, Schema, Scope } from "effect"
import { oracle } from "../support/plans.ts"

const broken = {
  name: "broken",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({})
} as const
const neverClosed = Scope.makeUnsafe()

/** Runs the tests of a suite whose names match; returns how many there are and how many fail. */
const runMatching = async (define: (test: DefineTest) => void, name: RegExp) => {
  const cases: Array<() => Promise<void>> = []
  define((sentence, run) => name.test(sentence) && cases.push(run))
  let failed = 0
  for (const run of cases) await run().catch(() => failed++)
  return { count: cases.length, failed }
}

const expectNoticed = async (suite: (test: DefineTest) => void, name: RegExp): Promise<void> => {
  const { count, failed } = await runMatching(suite, name)
  expect(count).toBeGreaterThan(0)
  expect(failed).toBe(count)
}

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

const brokenSelectors: ReadonlyArray<readonly [why: string, caught: RegExp, selector: Partial<NeuronSelector>]> = [
  ["claims to be exact and selects nothing", /gives finite logits, and those of the dense run/, { exact: true }],
  ["proposes otherwise than it said", /proposes some/, { proposes: "every" }],
  [
    "selects beyond the last neuron",
    /selects inside the block/,
    { select: (_block, _hidden, active) => void active.words.fill(0xffffffff, 0, active.rowCount * active.wordsPerRow) }
  ],
  [
    "writes beyond the batch",
    /selects inside the block/,
    { select: (_block, _hidden, active) => void active.words.fill(1) }
  ],
  [
    "writes to the hidden vectors",
    /selects inside the block/,
    { select: (_block, hidden) => void hidden.values.fill(0) }
  ],
  [
    "looks at other rows",
    /selects for a row what it selects for that row alone/,
    { select: (_block, hidden, active) => active.add(hidden.rowCount - 1, 0) }
  ]
]

for (const [why, caught, breakIt] of brokenSelectors) {
  test(`predictorContract() notices a predictor that ${why}`, async () => {
    const selector: NeuronSelector = { proposes: "some", confirms: false, exact: false, select: () => {}, ...breakIt }
    const plugin = definePlugin({ ...broken, kind: "predictor", open: () => Effect.succeed(selector) })
    const suite = (define: DefineTest) => predictorContract({ test: define, plugin, proposes: "some", backend: oracle })
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
