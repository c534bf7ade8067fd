// What must every placement policy do?
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Model } from "../model/model.ts"
import { checkPlan } from "../plan.ts"
import { type DeviceFacts, PlacementImpossible } from "../placement.ts"
import type { PlacementPlugin } from "../plugin.ts"
import { bindPlugin } from "../plugin_host/load_plugin.ts"
import { check, type DefineTest } from "./assertions.ts"
import { describeLeak, measureLeak } from "./held_resources.ts"
import { checkUnknownOption } from "./option_check.ts"
import { openTinyModel } from "./tiny_model.ts"

/** What the suite is given. */
export interface PlacementUnderTest {
  readonly test: DefineTest
  readonly plugin: PlacementPlugin
  /** Default: none. */
  readonly options?: Readonly<Record<string, unknown>>
}

interface TinyBlocks {
  readonly blockCount: number
  readonly ffnWidth: number
}

const twoBlocks: TinyBlocks = { blockCount: 2, ffnWidth: 96 }
const gibibyte = 2 ** 30

/** What the devices of a test have in common, and the memory of each in bytes. */
const unequalDevices: ReadonlyArray<readonly [what: string, memories: ReadonlyArray<number>]> = [
  ["a large device and a small one", [64 * gibibyte, gibibyte]],
  ["a small device before a large one", [gibibyte, 64 * gibibyte]],
  ["devices of which one holds a kilobyte", [1024, gibibyte, 2 * gibibyte]],
  ["two devices that hold only together what the model needs", [150_000, 150_000]],
  ["a device too small for everything", [1]],
  ["devices that are all too small, or without memory", [0, 1, 1]]
]

/**
 * Defines the tests of a placement policy: every plan is one that `checkPlan` accepts, a refusal is a `PlacementImpossible`, the
 * same question gets the same answer, and what a policy is given stays as it is.
 */
export const placementContract = ({ test, plugin, options = {} }: PlacementUnderTest): void => {
  const { name } = plugin
  const define = (sentence: string, check: Effect.Effect<void, unknown, Scope.Scope>) =>
    test(`${name} ${sentence}`, () => Effect.runPromise(Effect.scoped(check)))
  const placeOn = (model: Model, devices: ReadonlyArray<DeviceFacts>) =>
    Effect.flatMap(bindPlugin(plugin, options), (policy) => policy.open({ model, devices }))
  const place = Effect.fnUntraced(function* (shape: TinyBlocks, devices: ReadonlyArray<DeviceFacts>) {
    const model = yield* openTiny(shape)
    return { model, plan: yield* Effect.scoped(placeOn(model, devices)) }
  })

  // Widths around the words of a bitset: the bits of the last word that belong to no neuron stay 0.
  for (const [blockCount, ffnWidth] of [
    [1, 33],
    [3, 96],
    [2, 1024],
    [1, 31]
  ] as const) {
    for (const deviceCount of [1, 2, 3]) {
      define(
        `places ${blockCount} blocks of ${ffnWidth} neurons on ${deviceCount} devices, each neuron once and no other`,
        Effect.gen(function* () {
          const { model, plan } = yield* place({ blockCount, ffnWidth }, largeDevices(deviceCount))
          yield* checkPlan(plan, model.shape, deviceCount, name)
        })
      )
    }
  }

  for (const [what, memories] of unequalDevices) {
    define(
      `has a plan for ${what}, or refuses with PlacementImpossible`,
      Effect.gen(function* () {
        const devices = memories.map((memoryBytes, device) => ({ name: `device ${device}`, memoryBytes }))
        const model = yield* openTiny(twoBlocks)
        const placed = yield* Effect.result(Effect.scoped(placeOn(model, devices)))
        if (Result.isSuccess(placed)) yield* checkPlan(placed.success, model.shape, devices.length, name)
        else checkRefusal(placed.failure)
      })
    )
  }

  define(
    "answers the same question with the same plan",
    Effect.gen(function* () {
      const [first, second] = [yield* place(twoBlocks, largeDevices(2)), yield* place(twoBlocks, largeDevices(2))]
      const plans = [first.plan, second.plan].map(written)
      check(plans[0] === plans[1], `two plans: ${plans.join(" and ")}`)
    })
  )

  define(
    "leaves the model and the devices that it is given as they are",
    Effect.gen(function* () {
      const model = yield* openTiny(twoBlocks)
      const devices = largeDevices(3)
      const before = written({ shape: model.shape, blocks: model.blocks, devices })
      yield* placeOn(model, devices)
      const after = written({ shape: model.shape, blocks: model.blocks, devices })
      check(after === before, `it was given ${before} and made ${after} of it`)
    })
  )

  define(
    "makes plans that last: neither closing nor the next plan changes one",
    Effect.gen(function* () {
      const model = yield* openTiny(twoBlocks)
      const { plan, before } = yield* Effect.scoped(
        Effect.map(placeOn(model, largeDevices(2)), (made) => ({ plan: made, before: written(made) }))
      )
      yield* Effect.scoped(placeOn(yield* openTiny({ blockCount: 1, ffnWidth: 33 }), largeDevices(3)))
      check(written(plan) === before, `the plan was ${before} and is ${written(plan)} now`)
    })
  )

  define(
    "leaves nothing behind when it is opened and closed many times",
    Effect.gen(function* () {
      const model = yield* openTiny(twoBlocks)
      const left = describeLeak(yield* measureLeak(Effect.asVoid(Effect.scoped(placeOn(model, largeDevices(2))))))
      check(left === undefined, `each plan leaves ${left} behind`)
    })
  )

  define(
    "refuses an empty list of devices with PlacementImpossible",
    Effect.gen(function* () {
      const placed = yield* Effect.result(place(twoBlocks, []))
      check(Result.isFailure(placed), "it made a plan for no device")
      checkRefusal(placed.failure)
    })
  )

  define("refuses an option that it does not have", checkUnknownOption(plugin, options))
}

const checkRefusal = (error: unknown): void =>
  check(error instanceof PlacementImpossible, `it failed with ${String(error)}`)

const openTiny = (shape: TinyBlocks) => openTinyModel({ family: "llama", seed: 1, activation: "relu", shape })

/** Bitsets as numbers: JSON knows no typed arrays. */
const written = (value: object): string =>
  JSON.stringify(value, (_key, part: unknown) => (part instanceof Uint32Array ? [...part] : part))

const largeDevices = (count: number): ReadonlyArray<DeviceFacts> =>
  Array.from({ length: count }, (_, device) => ({ name: `device ${device}`, memoryBytes: 2 ** 40 }))
