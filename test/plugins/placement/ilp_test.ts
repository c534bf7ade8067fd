// Goal: ilp keeps the contract of placement policies, solves PowerInfer's program, and agrees with filling by frequency where theory says so.
// Method: the contract suite; random problems, seeded, against filling by frequency and against a search through every division.
import { describe, expect, test } from "bun:test"
import {
  fastFrequency,
  fillByFrequency,
  fits,
  loadPlugin,
  type Owners,
  type PlacementProblem,
  ownedBy
} from "@powerinfer/core"
import { placementContract } from "@powerinfer/core/testing"
import plugin, { ilp } from "@powerinfer/placement-ilp"
import { Effect } from "effect"
import { fewestWorthwhile, groupNeurons, readOwners, writeProgram } from "../../../plugins/placement/ilp/program.ts"
import { shortfall, solve } from "../../../plugins/placement/ilp/solve.ts"
import { countedBytes, randomProblem } from "../../support/placements.ts"

describe("contract", () => placementContract({ test, plugin }))

const exactly = { timeLimitSeconds: 30, gap: 0 }

const solved = async (problem: PlacementProblem, group: number): Promise<Owners | undefined> => {
  const groups = groupNeurons(problem, group)
  const { status, columns } = await Effect.runPromise(solve(writeProgram(problem, groups), exactly))
  if (columns === undefined) return undefined
  expect(status).toBe("optimal")
  return readOwners(problem, groups, columns)
}

const withoutHandOff = (problem: PlacementProblem): PlacementProblem => ({
  ...problem,
  devices: problem.devices.map((device) => ({ ...device, handOffSeconds: 0 }))
})

for (let seed = 1; seed <= 12; seed++) {
  test(`ilp places the neurons that filling by frequency places: equal sizes, no hand-off, groups of 1, no ties (seed ${seed})`, async () => {
    const shape = { blockCount: 3, ffnWidth: 30, deviceCount: 2, equalBytes: true, distinct: true }
    const problem = withoutHandOff(randomProblem(seed, shape))
    expect(await solved(problem, 1)).toEqual(fillByFrequency(problem)!)
  })

  test(`ilp finds the total frequency of filling by frequency, whatever the ties (seed ${seed})`, async () => {
    const problem = withoutHandOff(
      randomProblem(seed, { blockCount: 3, ffnWidth: 30, deviceCount: 2, equalBytes: true })
    )
    const most = fastFrequency(problem, fillByFrequency(problem)!)
    expect(fastFrequency(problem, (await solved(problem, 1))!)).toBeCloseTo(most, 6)
  })
}

/** Every division of the groups between two devices that fits and pays, or undefined. */
const mostByHand = (problem: PlacementProblem, group: number): number | undefined => {
  const groups = groupNeurons(problem, group)
  const { fastestFirst, heldBytes, devices, home, ffnWidth } = problem
  const [fast, slow] = fastestFirst
  const handOff = devices[home === fast ? slow! : fast!]!.handOffSeconds!
  let most: number | undefined
  for (let choice = 0; choice < 2 ** groups.length; choice++) {
    const owners = ownedBy(slow!, heldBytes.length, ffnWidth)
    groups.forEach(({ block, neurons }, index) => {
      if ((choice >> index) & 1) for (const neuron of neurons) owners[block]![neuron] = fast!
    })
    const pays = owners.every((block, index) => {
      const count = block.filter((owner) => owner === fast).length
      return count === 0 || count >= fewestWorthwhile(heldBytes[index]!, devices[fast!]!, devices[slow!]!, handOff)
    })
    if (pays && fits(problem, owners)) most = Math.max(most ?? -1, fastFrequency(problem, owners))
  }
  return most
}

/** The fast device has room for a third of the neurons, the slow one for all. */
const tight = (seed: number): PlacementProblem => {
  const problem = randomProblem(seed, { blockCount: 3, ffnWidth: 7, deviceCount: 2 })
  const all = problem.heldBytes.reduce((sum, bytes) => sum + bytes * 7, 0)
  const [fast] = problem.fastestFirst
  return { ...problem, roomBytes: problem.devices.map((_, device) => (device === fast ? Math.floor(all / 3) : all)) }
}

/** With hand-offs that four or five of the seven neurons of a block pay for. */
const withDearHandOff = (problem: PlacementProblem): PlacementProblem => {
  const [fast, slow] = problem.fastestFirst.map((device) => problem.devices[device]!.bandwidthBytesPerSecond!)
  const handOffSeconds = 3.5 * 48 * (1 / slow! - 1 / fast!)
  return { ...problem, devices: problem.devices.map((device) => ({ ...device, handOffSeconds })) }
}

for (let seed = 1; seed <= 12; seed++) {
  test(`ilp finds what a search through every division finds, hand-offs and unequal sizes included (seed ${seed})`, async () => {
    const problem = withDearHandOff(tight(seed))
    const owners = await solved(problem, 2)
    const most = mostByHand(problem, 2)
    expect(owners === undefined).toBe(most === undefined)
    if (owners !== undefined) expect(fastFrequency(problem, owners)).toBeCloseTo(most!, 6)
  })

  test(`ilp keeps to the room of three devices, to the byte (seed ${seed})`, async () => {
    const problem = withoutHandOff(randomProblem(seed, { blockCount: 2, ffnWidth: 21, deviceCount: 3 }))
    const owners = await solved(problem, 1)
    countedBytes(problem, owners!).forEach((bytes, device) =>
      expect(bytes).toBeLessThanOrEqual(problem.roomBytes[device]!)
    )
  })
}

test("a hand-off changes what ilp places in some of these problems (seeds 1 to 12)", () => {
  const changed = Array.from({ length: 12 }, (_, index) => index + 1).filter((seed) => {
    return mostByHand(withDearHandOff(tight(seed)), 2) !== mostByHand(withoutHandOff(tight(seed)), 2)
  })
  expect(changed.length).toBeGreaterThan(3)
})

test("fewestWorthwhile() is where reading on the fast device and one hand-off are no slower", () => {
  const [fast, slow] = [
    { name: "fast", memoryBytes: 0, bandwidthBytesPerSecond: 4e9 },
    { name: "slow", memoryBytes: 0, bandwidthBytesPerSecond: 1e9 }
  ]
  const least = fewestWorthwhile(1000, fast, slow, 1e-5)
  const pays = (count: number) => count * (1000 / 4e9) + 1e-5 <= count * (1000 / 1e9)
  expect([pays(least), pays(least - 1)]).toEqual([true, false])
  expect(fewestWorthwhile(1000, fast, slow, 0)).toBe(0)
  expect(fewestWorthwhile(1000, slow, fast, 1e-5)).toBe(Infinity)
})

test("solve() says that its time is over where there is none", async () => {
  const problem = randomProblem(1, { blockCount: 3, ffnWidth: 30, deviceCount: 3 })
  const program = writeProgram(problem, groupNeurons(problem, 1))
  expect((await Effect.runPromise(solve(program, { timeLimitSeconds: 0, gap: 0 }))).status).toBe("time limit")
})

test("shortfall() tells how far from the optimum a plan may be, and nothing of the best one", () => {
  const columns = new Float64Array(0)
  expect(shortfall({ status: "time limit", columns, gap: 0.0123 }, 30)).toBe(
    "not solved to optimality: stopped after 30 s, at most 1.23% below the optimum"
  )
  expect(shortfall({ status: "unsolved", columns, gap: Infinity }, 30)).toBe("not solved to optimality: unsolved")
  expect(shortfall({ status: "optimal", columns, gap: 0 }, 30)).toBeUndefined()
})

test("ilp() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(ilp()))).plugin).toBe(plugin)
})
