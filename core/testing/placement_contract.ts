// What must every placement policy do?
import { Effect, Exit } from "effect"
import type { ModelShape } from "../model/model.ts"
import { checkPlan } from "../plan.ts"
import type { DeviceFacts, Placement } from "../placement.ts"
import { PlacementImpossible } from "../placement.ts"
import { check, type DefineTest } from "./assertions.ts"

/**
 * Defines the tests of a placement policy: every plan is one that `checkPlan` accepts, a refusal is a `PlacementImpossible`, the
 * same question gets the same answer.
 */
export const placementContract = ({
  test,
  name,
  placement
}: {
  readonly test: DefineTest
  readonly name: string
  readonly placement: Placement
}): void => {
  const place = (shape: ModelShape, devices: ReadonlyArray<DeviceFacts>) =>
    Effect.runPromiseExit(placement.place(shape, devices))

  for (const [blockCount, ffnWidth] of [
    [1, 33],
    [3, 96],
    [2, 1024]
  ] as const) {
    const shape = { ...shapeOf, blockCount, ffnWidth }
    for (const deviceCount of [1, 2, 3]) {
      test(`${name} places ${blockCount} blocks of ${ffnWidth} neurons on ${deviceCount} devices, each neuron once`, async () => {
        const plan = await Effect.runPromise(placement.place(shape, largeDevices(deviceCount)))
        await Effect.runPromise(checkPlan(plan, shape, deviceCount, name))
      })
    }
  }

  test(`${name} answers the same question with the same plan`, async () => {
    const [first, second] = [await place(shapeOf, largeDevices(2)), await place(shapeOf, largeDevices(2))]
    check(JSON.stringify(first) === JSON.stringify(second), `two plans: ${JSON.stringify([first, second])}`)
  })

  test(`${name} refuses an empty list of devices with PlacementImpossible`, async () => {
    const exit = await place(shapeOf, [])
    check(Exit.isFailure(exit), "it made a plan for no device")
    const error = await Effect.runPromise(Effect.flip(placement.place(shapeOf, [])))
    check(error instanceof PlacementImpossible, `it failed with ${String(error)}`)
  })
}

const largeDevices = (count: number): ReadonlyArray<DeviceFacts> =>
  Array.from({ length: count }, (_, device) => ({ name: `device ${device}`, memoryBytes: 2 ** 40 }))

const shapeOf: ModelShape = {
  family: "llama",
  blockCount: 2,
  hiddenWidth: 64,
  ffnWidth: 96,
  headCount: 4,
  kvHeadCount: 2,
  headWidth: 16,
  vocabularySize: 300,
  contextLength: 128,
  norm: { kind: "rms", epsilon: 1e-5 },
  positions: { kind: "rope", style: "interleaved", width: 16, baseFrequency: 10_000, linearFactor: 1 },
  parallel: false,
  gated: true,
  gateActivation: "relu",
  upActivation: "identity"
}
