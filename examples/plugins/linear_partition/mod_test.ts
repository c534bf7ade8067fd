// Goal: linear_partition keeps the contract of placement policies, and no division into runs is better than its own.
// Method: the solver against every possible division, on seeded sizes.
import { describe, expect, test } from "bun:test"
import { randomFromSeed } from "@powerinfer/core"
import { openTinyModel, placementContract } from "@powerinfer/core/testing"
import { Effect } from "effect"
import plugin from "./mod.ts"
import { partition, type Room } from "./partition.ts"

describe("contract", () => placementContract({ test, plugin }))

const fullestOf = (sizes: ReadonlyArray<number>, rooms: ReadonlyArray<Room>, ends: ReadonlyArray<number>): number =>
  Math.max(
    ...rooms.map(({ size, taken = 0 }, device) => {
      const run = sizes.slice(ends[device - 1] ?? 0, ends[device])
      return (taken + run.reduce((sum, item) => sum + item, 0)) / size
    })
  )

/** Every ascending row of ends whose last is `count`. */
const allEnds = (count: number, deviceCount: number, from = 0): ReadonlyArray<ReadonlyArray<number>> =>
  deviceCount === 1
    ? [[count]]
    : Array.from({ length: count - from + 1 }, (_, i) => from + i).flatMap((end) =>
        allEnds(count, deviceCount - 1, end).map((rest) => [end, ...rest])
      )

for (let seed = 1; seed <= 40; seed++) {
  test(`partition() is as good as the best of all divisions (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const below = (limit: number) => random.nextU32() % limit
    const sizes = Array.from({ length: below(8) }, () => below(50))
    const rooms = Array.from({ length: 1 + below(4) }, () => ({ size: 1 + below(100), taken: below(20) }))
    const { ends, fullest } = partition(sizes, rooms)
    const best = Math.min(...allEnds(sizes.length, rooms.length).map((any) => fullestOf(sizes, rooms, any)))
    expect(ends.at(-1)).toBe(sizes.length)
    expect(fullestOf(sizes, rooms, ends)).toBeCloseTo(best, 12)
    expect(fullest).toBeCloseTo(best, 12)
  })
}

test("partition() gives earlier devices the longer of equally good runs", () => {
  expect(partition([1, 1, 1], [{ size: 1 }, { size: 1 }]).ends).toEqual([2, 3])
})

const place = (memories: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const model = yield* openTinyModel({ family: "llama", seed: 1, activation: "relu", shape: { blockCount: 4 } })
    const devices = memories.map((memoryBytes, index) => ({ name: `device ${index}`, memoryBytes }))
    return yield* plugin.open({}, { model, devices })
  }).pipe(Effect.scoped)

test("linear_partition gives the home fewer blocks: attention is there too", async () => {
  const { home, shares } = await Effect.runPromise(place([2 ** 30, 2 ** 30]))
  const ofHome = shares.filter((block) => block[0] === "all").length
  expect(home).toBe(0)
  expect(ofHome).toBeLessThan(2)
  expect(shares.map((block) => block.filter((share) => share === "all").length)).toEqual([1, 1, 1, 1])
})

for (const [what, memories, words] of [
  ["devices that are too small together", [1000, 1000], "no division of whole blocks fits"],
  ["a device without memory", [2 ** 30, 0], "device 1 has no memory"]
] as const) {
  test(`linear_partition refuses ${what}`, async () => {
    const error = await Effect.runPromise(Effect.flip(place(memories)))
    expect(error._tag).toBe("PlacementImpossible")
    expect(error.message).toContain(words)
  })
}
