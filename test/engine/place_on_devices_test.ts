// Goal: where nobody asks for a length, sessions are as long as the fastest device has memory for, and a plan is for the devices that take part.
// Method: a tiny model and devices that are only numbers.
import { expect, test } from "bun:test"
import {
  type DeviceFacts,
  estimateMemory,
  homeMemoryBytes,
  type Model,
  neuronMemoryBytes,
  type PlacementContext,
  type PlacementPlan,
  type SessionOptions
} from "@powerinfer/core"
import { openTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { placeOnDevices } from "../../core/engine/place_on_devices.ts"

const full = 4096
const rowCountMax = 4

const withModel = <A>(use: (model: Model) => Effect.Effect<A, unknown>) =>
  Effect.gen(function* () {
    const shape = { contextLength: full }
    return yield* use(yield* openTinyModel({ family: "llama", seed: 3, activation: "relu", shape }))
  }).pipe(Effect.scoped, Effect.runPromise)

const estimate = (model: Model, contextLength: number) =>
  estimateMemory(model, { contextLength, cacheType: "f16", rowCountMax })

/** What a home takes that holds all neurons and a session of this length. */
const everything = (model: Model, contextLength: number) =>
  homeMemoryBytes(model, { predictorBytes: 0, ...estimate(model, contextLength) }) + neuronMemoryBytes(model)

interface Asked {
  readonly devices: ReadonlyArray<DeviceFacts>
  readonly session?: SessionOptions
  readonly home?: number
}

/** Everything goes to one device. */
const place = (model: Model, { devices, session, home = 0 }: Asked) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const contexts: Array<PlacementContext> = []
    const placed = yield* placeOnDevices(
      { model, selector: { proposes: "every", selectionBytes: [8, 8] }, rowCountMax, session },
      "all on one",
      () => Effect.succeed(devices),
      (context) => {
        contexts.push(context)
        const shares = devices.map((_, device) => (device === home ? ("all" as const) : ("none" as const)))
        return Effect.succeed<PlacementPlan>({ home, shares: model.blocks.map(() => shares) })
      },
      (line) => lines.push(line)
    )
    return { placed, lines, context: contexts[0]! }
  })

const one = (memoryBytes: number): ReadonlyArray<DeviceFacts> => [{ name: "small", memoryBytes }]

for (const [fraction, spare] of [
  [1, 0],
  [2, 0],
  [4, 0],
  [2, -17]
] as const) {
  test(`placeOnDevices() takes the largest power-of-two fraction of the context that fits: 1/${fraction}${spare < 0 ? " less a byte" : ""}`, () =>
    withModel((model) =>
      Effect.gen(function* () {
        // 16 bytes are the predictor's.
        const devices = one(everything(model, full / fraction) + 16 + spare)
        const { placed, lines, context } = yield* place(model, { devices, session: {} })
        const expected = full / fraction / (spare < 0 ? 2 : 1)
        expect(placed.contextLength).toBe(expected)
        expect(context.reservedBytes).toEqual({
          cacheBytes: estimate(model, expected).cacheBytes,
          predictorBytes: 16,
          workspaceBytes: estimate(model, expected).workspaceBytes
        })
        expect(lines).toEqual(expected === full ? [] : [expect.stringMatching(/sessions hold .* small; --ctx/)])
      })
    ))
}

test("placeOnDevices() leaves half of a home's room to neurons where other devices can hold the rest", () =>
  withModel((model) =>
    Effect.gen(function* () {
      const fixed = homeMemoryBytes(model, { cacheBytes: 0, predictorBytes: 16, ...workspace(model) })
      const room = 2 * estimate(model, full / 4).cacheBytes
      const devices = [...one(fixed + room), { name: "large", memoryBytes: 2 ** 40 }]
      expect((yield* place(model, { devices, session: {} })).placed.contextLength).toBe(full / 4)
    })
  ))

const workspace = (model: Model) => ({ workspaceBytes: estimate(model, 0).workspaceBytes })

test("placeOnDevices() takes the length that was asked for, whatever fits, and the model's own where none does", () =>
  withModel((model) =>
    Effect.gen(function* () {
      const asked = yield* place(model, { devices: one(1), session: { contextLength: 100 } })
      expect(asked.placed.contextLength).toBe(100)
      const hopeless = yield* place(model, { devices: one(1), session: {} })
      expect(hopeless.placed.contextLength).toBe(full)
      expect(hopeless.lines).toEqual([])
      const none = yield* place(model, { devices: one(1) })
      expect(none.placed.contextLength).toBe(full)
      expect(none.context.reservedBytes?.cacheBytes).toBe(0)
    })
  ))

test("placeOnDevices() has policies compare speeds only where every device has one, and leaves out devices without a part", () =>
  withModel((model) =>
    Effect.gen(function* () {
      const large = { memoryBytes: 2 ** 40 }
      const devices = [
        { name: "measured", bandwidthBytesPerSecond: 1e12, handOffSeconds: 1e-5, ...large },
        { name: "unmeasured", ...large }
      ]
      const { placed, context } = yield* place(model, { devices, home: 1 })
      expect(context.devices).toEqual([
        { name: "measured", ...large },
        { name: "unmeasured", ...large }
      ])
      expect(placed.devices).toEqual([1])
      expect(placed.plan).toEqual({ home: 0, shares: model.blocks.map(() => ["all"]) })
    })
  ))
