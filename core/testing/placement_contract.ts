// What must every placement policy do?
import { Effect, Exit, type Scope } from "effect"
import { checkPlan } from "../plan.ts"
import { type DeviceFacts, PlacementImpossible, type PlacementPlan } from "../placement.ts"
import type { PlacementPlugin } from "../plugin.ts"
import { bindPlugin } from "../plugin_host/load_plugin.ts"
import { check, type DefineTest } from "./assertions.ts"
import { openTinyModel } from "./tiny_model.ts"

/** What the suite is given. */
export interface PlacementUnderTest {
  readonly test: DefineTest
  readonly plugin: PlacementPlugin
  /** Default: none. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * Defines the tests of a placement policy: every plan is one that `checkPlan` accepts, a refusal is a `PlacementImpossible`, the
 * same question gets the same answer.
 */
export const placementContract = ({ test, plugin, options = {} }: PlacementUnderTest): void => {
  const { name } = plugin
  const run = (effect: Effect.Effect<void, unknown, Scope.Scope>) => Effect.runPromise(Effect.scoped(effect))
  const place = Effect.fnUntraced(function* (shape: TinyBlocks, devices: ReadonlyArray<DeviceFacts>) {
    const policy = yield* bindPlugin(plugin, options)
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu", shape })
    return { model, plan: yield* Effect.scoped(policy.open({ model, devices })) }
  })

  for (const [blockCount, ffnWidth] of [
    [1, 33],
    [3, 96],
    [2, 1024]
  ] as const) {
    for (const deviceCount of [1, 2, 3]) {
      test(`${name} places ${blockCount} blocks of ${ffnWidth} neurons on ${deviceCount} devices, each neuron once`, () =>
        run(
          Effect.gen(function* () {
            const { model, plan } = yield* place({ blockCount, ffnWidth }, largeDevices(deviceCount))
            yield* checkPlan(plan, model.shape, deviceCount, name)
          })
        ))
    }
  }

  test(`${name} answers the same question with the same plan`, () =>
    run(
      Effect.gen(function* () {
        const [first, second] = [yield* place(twoBlocks, largeDevices(2)), yield* place(twoBlocks, largeDevices(2))]
        const plans = [first.plan, second.plan].map(written)
        check(plans[0] === plans[1], `two plans: ${plans.join(" and ")}`)
      })
    ))

  test(`${name} refuses an empty list of devices with PlacementImpossible`, () =>
    run(
      Effect.gen(function* () {
        const exit = yield* Effect.exit(place(twoBlocks, []))
        check(Exit.isFailure(exit), "it made a plan for no device")
        const error = yield* Effect.flip(place(twoBlocks, []))
        check(error instanceof PlacementImpossible, `it failed with ${String(error)}`)
      })
    ))
}

interface TinyBlocks {
  readonly blockCount: number
  readonly ffnWidth: number
}

const twoBlocks: TinyBlocks = { blockCount: 2, ffnWidth: 96 }

/** Bitsets as numbers: JSON knows no typed arrays. */
const written = (plan: PlacementPlan): string =>
  JSON.stringify(plan, (_key, value: unknown) => (value instanceof Uint32Array ? [...value] : value))

const largeDevices = (count: number): ReadonlyArray<DeviceFacts> =>
  Array.from({ length: count }, (_, device) => ({ name: `device ${device}`, memoryBytes: 2 ** 40 }))
