// Goal: the contract suites that third parties rely on notice broken plugins.
// Method: each suite on plugins that are wrong in one way; the names of the tests that fail are the result.
import { expect, test } from "bun:test"
import {
  BackendFailure,
  definePlugin,
  type Device,
  type DeviceFacts,
  type PlacementPlan,
  type PlacementPlugin
} from "@powerinfer/core"
import { backendContract, type DefineTest, largestErrors, placementContract } from "@powerinfer/core/testing"
import { Effect, Schema, Scope } from "effect"
import { oracle } from "../support/plans.ts"
import { expectKept, expectNoticed } from "./expect_noticed.ts"

const broken = {
  name: "broken",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({})
} as const
const neverClosed = Scope.makeUnsafe()

const brokenDevices: ReadonlyArray<
  readonly [why: string, caught: RegExp, reason: RegExp, breakIt: (device: Device) => Partial<Device>]
> = [
  [
    "leaves out the FFN of the second block",
    /runs qwen3 as the oracle does/,
    /largest error is/,
    (device) => ({ mergeFfn: (block, partials) => device.mergeFfn(block, block === 1 ? [] : partials) })
  ],
  [
    "ignores the candidates",
    /stage by stage \(gated\)/,
    /ffn of some neurons: the largest error/,
    (device) => ({
      startFfn: (block, hidden, _active, confirms) => device.startFfn(block, hidden, undefined, confirms)
    })
  ],
  [
    "never confirms",
    /counts only neurons that fire when it confirms \(ungated\)/,
    /neurons were computed, \d+ fire/,
    (device) => ({ startFfn: (block, hidden, active) => device.startFfn(block, hidden, active, false) })
  ],
  [
    "has an F32 cache only",
    /rounds an F16 cache/,
    /not rounded/,
    (device) => ({ openCache: (count) => device.openCache(count, "f32") })
  ],
  [
    "never frees a cache",
    /refuses a cache after its scope/,
    /ran in a closed cache/,
    (device) => ({
      openCache: (count, type) => Effect.provideService(device.openCache(count, type), Scope.Scope, neverClosed)
    })
  ],
  [
    "counts nothing",
    /never back/,
    /went from \d+ to \d+/,
    (device) => {
      const counters = device.counters()
      return { counters: () => counters }
    }
  ],
  [
    "gives other bits each time",
    /gives the same bits/,
    /when the same was run again on the same device/,
    (device) => {
      let calls = 0
      return { logits: (batch) => device.logits(batch).map((logit) => logit + calls++ * 1e-6) }
    }
  ],
  [
    "spoils the hidden vectors that it is lent",
    /leaves what it is lent/,
    /wrote to the hidden vectors/,
    (device) => ({
      startFfn: (block, hidden, active, confirms) => {
        const partial = device.startFfn(block, hidden, active, confirms)
        hidden.values[0] = 0
        return partial
      }
    })
  ],
  [
    "writes more activations than there are rows",
    /leaves what it is lent/,
    /wrote beyond the rows/,
    (device) => ({
      activations: (block, hidden, into) => {
        device.activations(block, hidden, into)
        into[hidden.rowCount * 96] = 1
      }
    })
  ],
  [
    "opens a cache of any size",
    /no memory holds/,
    /it opened a cache of 4294967295 positions/,
    (device) => ({ openCache: (count, type) => device.openCache(Math.min(count, 2 ** 14), type) })
  ],
  [
    "refuses a cache of any size by the wrong name",
    /no memory holds/,
    /with BackendFailure/,
    (device) => ({
      openCache: (count, type) =>
        Effect.catchTag(device.openCache(count, type), "NotEnoughMemory", ({ message }) =>
          Effect.fail(new BackendFailure({ backend: "broken", reason: message }))
        )
    })
  ],
  [
    "leaves something of every cache behind",
    /frees a cache with its scope/,
    /each cache leaves \d+ bytes of live objects/,
    (device) => {
      const kept: Array<Float32Array> = []
      return {
        openCache: (count, type) =>
          Effect.tap(device.openCache(count, type), () => Effect.sync(() => kept.push(new Float32Array(2 ** 14))))
      }
    }
  ],
  [
    "leaves something of every device behind",
    /opened and closed many times/,
    /each opening leaves \d+ bytes of live objects/,
    () => {
      keptDevices.push(new Float32Array(2 ** 14))
      return {}
    }
  ]
]
const keptDevices: Array<Float32Array> = []

for (const [why, caught, reason, breakIt] of brokenDevices) {
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
    await expectNoticed(suite, caught, reason)
  }, 30_000)
}

test("backendContract() finds no fault with the reference backend, and reports the errors of each operation", async () => {
  const { report, figures } = largestErrors()
  await expectKept((define) =>
    backendContract({ test: define, plugin: oracle, oracle, types: ["F32", "Q8_0"], report })
  )
  const operations = (type: string) =>
    figures()
      .filter((figure) => figure.type === type)
      .map(({ operation }) => operation)
  for (const type of ["F32", "Q8_0"]) {
    expect(operations(type)).toEqual(
      expect.arrayContaining(["run", "run, confirming", "attend", "activations", "ffn of some neurons"])
    )
  }
  for (const { error, limit } of figures()) expect(error).toBeWithin(0, limit)
}, 60_000)

test("largestErrors() keeps the largest error of each operation and type, and a NaN above all", () => {
  const { report, figures } = largestErrors()
  const figure = (operation: string, error: number) => ({ operation, type: "F32", error, limit: 1 })
  for (const [operation, error] of [
    ["a", 1],
    ["a", 3],
    ["b", 2],
    ["a", 2],
    ["b", Number.NaN],
    ["b", 5]
  ] as const) {
    report(figure(operation, error))
  }
  expect(figures()).toEqual([figure("a", 3), figure("b", Number.NaN)])
})

type Place = PlacementPlugin["open"]

const onFirst: Place = (_options, { model, devices }) =>
  Effect.succeed({
    home: 0,
    shares: Array.from({ length: model.shape.blockCount }, () => devices.map((_, i) => (i === 0 ? "all" : "none")))
  })
let calls = 0
const keptPlans: Array<Float32Array> = []
const sharedShares: Array<Array<"all" | "none">> = []

const brokenPlacements: ReadonlyArray<readonly [why: string, caught: RegExp, reason: RegExp, place: Place]> = [
  ["plans for no device", /refuses an empty list/, /for no device/, onFirst],
  [
    "computes neurons twice",
    /on 2 devices, each neuron once/,
    /on two devices/,
    (_options, { model, devices }) =>
      Effect.succeed({
        home: 0,
        shares: Array.from({ length: model.shape.blockCount }, () => devices.map(() => "all" as const))
      })
  ],
  [
    "names neurons that there are not",
    /blocks of (33|31) neurons on 1 devices/,
    /at (33|31) or above/,
    (_options, { model: { shape } }) =>
      Effect.succeed({
        home: 0,
        shares: Array.from({ length: shape.blockCount }, () => [
          new Uint32Array(Math.ceil(shape.ffnWidth / 32)).fill(0xffff_ffff)
        ])
      })
  ],
  [
    "breaks where a device is too small",
    /too small for everything/,
    /out of room/,
    (options, context) => {
      if (context.devices[0]?.memoryBytes === 1) throw new Error("out of room")
      return onFirst(options, context)
    }
  ],
  [
    "leaves out what does not fit",
    /hold only together/,
    /on no device/,
    (_options, { model, devices }) =>
      Effect.succeed({
        home: 0,
        shares: model.blocks.map(() =>
          devices.map(({ memoryBytes }, i) => (i === 0 && memoryBytes > 2 ** 20 ? ("all" as const) : ("none" as const)))
        )
      })
  ],
  [
    "changes its mind",
    /same plan/,
    /two plans/,
    (options, context) =>
      Effect.map(onFirst(options, context), (plan): PlacementPlan => ({
        ...plan,
        home: calls++ % context.devices.length
      }))
  ],
  [
    "sorts the devices that it is given",
    /as they are/,
    /it was given/,
    (options, context) => {
      ;(context.devices as Array<DeviceFacts>).reverse()
      return onFirst(options, context)
    }
  ],
  [
    "makes every plan in the same arrays",
    /plans that last/,
    /the plan was/,
    (options, context) =>
      Effect.map(onFirst(options, context), ({ home, shares }) => {
        sharedShares.length = 0
        for (const share of shares) sharedShares.push(share.map((one) => (one === "all" ? "all" : "none")))
        return { home, shares: sharedShares }
      })
  ],
  [
    "leaves something of every plan behind",
    /leaves nothing behind/,
    /each plan leaves \d+ bytes of live objects/,
    (options, context) => {
      keptPlans.push(new Float32Array(1024))
      return onFirst(options, context)
    }
  ]
]

for (const [why, caught, reason, open] of brokenPlacements) {
  test(`placementContract() notices a policy that ${why}`, async () => {
    const plugin = definePlugin({ ...broken, kind: "placement", open })
    await expectNoticed((define) => placementContract({ test: define, plugin }), caught, reason)
  }, 30_000)
}
