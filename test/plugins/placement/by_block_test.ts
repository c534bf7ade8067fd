// Goal: by_block keeps the contract of placement policies and places whole blocks, the last ones on the fastest device.
// Method: the contract suite; then a tiny model on two devices of which the first holds one block.
import { describe, expect, test } from "bun:test"
import { homeMemoryBytes, loadPlugin, neuronBytes } from "@powerinfer/core"
import { openTinyModel, placementContract } from "@powerinfer/core/testing"
import plugin, { byBlock } from "@powerinfer/placement-by-block"
import { Effect } from "effect"

describe("contract", () => placementContract({ test, plugin }))

const placeOn = (spare: number) =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: { blockCount: 3 } })
    const block = neuronBytes(model)[0]!.held * model.shape.ffnWidth
    const devices = [
      { name: "fast", memoryBytes: homeMemoryBytes(model) + block + spare },
      { name: "large", memoryBytes: 2 * block }
    ]
    return yield* plugin.open({}, { model, devices })
  }).pipe(Effect.scoped, Effect.result, Effect.runPromise)

test("by_block fills the first device with the last blocks, and divides none", async () => {
  const placed = await placeOn(0)
  expect(placed._tag === "Success" && placed.success).toEqual({
    home: 0,
    shares: [
      ["none", "all"],
      ["none", "all"],
      ["all", "none"]
    ]
  })
})

test("by_block refuses with PlacementImpossible what fits in parts of blocks only", async () => {
  // A byte less for the one block; the second device has room for two.
  const placed = await placeOn(-1)
  expect(placed._tag === "Failure" && placed.failure._tag).toBe("PlacementImpossible")
})

test("byBlock() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(byBlock()))).plugin).toBe(plugin)
})
