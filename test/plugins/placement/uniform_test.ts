// Goal: uniform keeps the contract of placement policies and gives every block the same share, by ids or drawn with a seed.
// Method: the contract suite with and without a seed; then a tiny model on two devices of which the first has room for half.
import { describe, expect, test } from "bun:test"
import { homeMemoryBytes, loadPlugin, neuronBytes, ownersOf } from "@powerinfer/core"
import { openTinyModel, placementContract } from "@powerinfer/core/testing"
import plugin, { orderOf, uniform } from "@powerinfer/placement-uniform"
import { Effect } from "effect"

describe("contract", () => placementContract({ test, plugin }))
describe("contract, drawn", () => placementContract({ test, plugin, options: { seed: 7 } }))

const placeHalf = (options: { readonly seed?: number }) =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu" })
    const half = neuronBytes(model).reduce((sum, { held }) => sum + (held * model.shape.ffnWidth) / 2, 0)
    const devices = [
      { name: "fast", memoryBytes: homeMemoryBytes(model) + half },
      { name: "large", memoryBytes: 2 ** 30 }
    ]
    const plan = yield* plugin.open(options, { model, devices })
    return ownersOf(plan, model.shape.ffnWidth)
  }).pipe(Effect.scoped, Effect.runPromise)

test("uniform gives the lowest half of every block to a device with room for half of them", async () => {
  for (const block of await placeHalf({})) expect([...block]).toEqual([...block.keys()].map((id) => (id < 48 ? 0 : 1)))
})

test("uniform with a seed draws as many, every block in its own way, the same for the same seed", async () => {
  const [first, second] = [await placeHalf({ seed: 3 }), await placeHalf({ seed: 3 })]
  expect(first).toEqual(second)
  expect(await placeHalf({ seed: 4 })).not.toEqual(first)
  expect(first[0]).not.toEqual(first[1]!)
  for (const block of first) expect(block.filter((owner) => owner === 0).length).toBe(48)
})

test("orderOf() names every neuron once (seeds 1 to 20)", () => {
  for (let seed = 1; seed <= 20; seed++) {
    expect([...orderOf(65, seed)(0)].toSorted((a, b) => a - b)).toEqual([...Array(65).keys()])
  }
})

test("uniform() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(uniform()))).plugin).toBe(plugin)
})
