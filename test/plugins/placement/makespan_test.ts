// Goal: makespan keeps the contract of placement policies, and finds the placement that takes the least time by the speed model.
// Method: the contract suite; then random problems, seeded, against every division that its search knows, against every division at all, and
// against the plain placements.
import { describe, expect, test } from "bun:test"
import {
  blockSeconds,
  type BlockWork,
  fits,
  loadPlugin,
  ownedBy,
  type Owners,
  plainFills,
  type PlacementProblem,
  randomFromSeed
} from "@powerinfer/core"
import { placementContract } from "@powerinfer/core/testing"
import plugin, { makespan } from "@powerinfer/placement-makespan"
import { Effect } from "effect"
import { balance, totalSeconds } from "../../../plugins/placement/makespan/balance.ts"
import {
  chooseExactly,
  chooseCounts,
  choosePriced,
  type CountChoice
} from "../../../plugins/placement/makespan/choose_counts.ts"
import { countedBytes, randomProblem } from "../../support/placements.ts"

describe("contract", () => placementContract({ test, plugin }))
describe("contract, every gate read", () =>
  placementContract({ test, plugin, options: { proposes: "every", confirms: true } }))

/** What a token reads: a third of every neuron always, or nothing, and the rest when it fires. */
const workOf = ({ heldBytes, frequencies }: PlacementProblem, gates: boolean): ReadonlyArray<BlockWork> =>
  heldBytes.map((bytes, block) => ({
    streamedBytes: gates ? bytes / 3 : 0,
    scatteredBytes: frequencies[block]!.map((frequency) => frequency * bytes * (gates ? 2 / 3 : 1)),
    reads: frequencies[block]!
  }))

for (let seed = 1; seed <= 40; seed++) {
  test(`makespan is never slower than a plain placement, and keeps to the room to the byte (seed ${seed})`, () => {
    const problem = randomProblem(seed, { blockCount: 3, ffnWidth: 24 + seed, deviceCount: 1 + (seed % 4) })
    const work = workOf(problem, seed % 2 === 0)
    const owners = balance(problem, work)!
    for (const plain of plainFills(problem)) {
      expect(totalSeconds(problem, work, owners)).toBeLessThanOrEqual(totalSeconds(problem, work, plain))
    }
    countedBytes(problem, owners).forEach((bytes, device) =>
      expect(bytes).toBeLessThanOrEqual(problem.roomBytes[device]!)
    )
  })
}

/** Calls `each` with every combination of one option a block. */
const everyCombination = <A>(
  options: ReadonlyArray<ReadonlyArray<A>>,
  each: (chosen: ReadonlyArray<A>) => void
): void => {
  const [first, ...rest] = options
  if (first === undefined) return each([])
  for (const option of first) everyCombination(rest, (chosen) => each([option, ...chosen]))
}

const leastSeconds = (
  problem: PlacementProblem,
  work: ReadonlyArray<BlockWork>,
  divisions: (block: number) => ReadonlyArray<Uint8Array>
): number => {
  let least = Infinity
  const options = problem.heldBytes.map((_, block) => divisions(block))
  everyCombination(options, (owners: Owners) => {
    if (fits(problem, owners)) least = Math.min(least, totalSeconds(problem, work, owners))
  })
  return least
}

/** Two devices: runs of neighbours by firing on one of them, the rest on the other. */
const runs =
  ({ frequencies, ffnWidth }: PlacementProblem) =>
  (block: number): ReadonlyArray<Uint8Array> => {
    const order = [...frequencies[block]!.keys()].toSorted(
      (a, b) => frequencies[block]![b]! - frequencies[block]![a]! || a - b
    )
    const all: Array<Uint8Array> = []
    for (const [inside, outside] of [
      [0, 1],
      [1, 0]
    ] as const) {
      for (let start = 0; start <= ffnWidth; start++) {
        for (let end = start; end <= ffnWidth; end++) {
          const owners = ownedBy(outside, 1, ffnWidth)[0]!
          for (const neuron of order.slice(start, end)) owners[neuron] = inside
          all.push(owners)
        }
      }
    }
    return all
  }

const everyDivision =
  ({ ffnWidth }: PlacementProblem) =>
  (): ReadonlyArray<Uint8Array> =>
    Array.from({ length: 2 ** ffnWidth }, (_, bits) =>
      Uint8Array.from({ length: ffnWidth }, (_unused, neuron) => (bits >> neuron) & 1)
    )

for (let seed = 1; seed <= 25; seed++) {
  test(`makespan finds the best of all runs of neurons on two devices (seed ${seed})`, () => {
    const problem = randomProblem(seed, { blockCount: 2, ffnWidth: 6, deviceCount: 2 })
    const work = workOf(problem, seed % 2 === 0)
    const found = totalSeconds(problem, work, balance(problem, work)!)
    const least = leastSeconds(problem, work, runs(problem))
    // Never slower than that, and where a plain placement is no run and faster, that one.
    expect(found).toBeLessThanOrEqual(least * (1 + 1e-9))
    const plain = Math.min(...plainFills(problem).map((owners) => totalSeconds(problem, work, owners)))
    expect(found).toBeGreaterThanOrEqual(Math.min(least, plain) * (1 - 1e-9))
  })

  test(`makespan comes within one neuron a block of the best division of all (seed ${seed})`, () => {
    const problem = randomProblem(seed, { blockCount: 2, ffnWidth: 6, deviceCount: 2 })
    const work = workOf(problem, seed % 2 === 0)
    const least = leastSeconds(problem, work, everyDivision(problem))
    const found = totalSeconds(problem, work, balance(problem, work)!)
    const oneNeuron = work.reduce((sum, block, index) => {
      const hottest = ownedBy(0, 1, 1)[0]!
      const alone = {
        ...block,
        scatteredBytes: Float64Array.of(Math.max(...work[index]!.scatteredBytes)),
        reads: Float64Array.of(Math.max(...work[index]!.reads))
      }
      return (
        sum + Math.max(...[0, 1].map((home) => blockSeconds(hottest.fill(home), alone, problem.devices, home).seconds))
      )
    }, 0)
    expect(found).toBeGreaterThanOrEqual(least * (1 - 1e-9))
    expect(found).toBeLessThanOrEqual(least + oneNeuron)
  })
}

/** Costs that fall, then rise, with jumps at both ends: a hand-off. */
const randomChoice = (seed: number, neuronCount: number): CountChoice => {
  const random = randomFromSeed(seed)
  const jump = random.nextUniform() * 3
  const costs = Array.from({ length: 3 }, () => {
    const [fall, rise] = [0.5 + random.nextUniform(), 0.5 + random.nextUniform()]
    return Float64Array.from({ length: neuronCount + 1 }, (_, n) => {
      const handOff = n > 0 && n < neuronCount ? jump : 0
      return Math.max(((neuronCount - n) ** 2 / neuronCount) * fall, n * rise) + handOff
    })
  })
  const bytes = costs.map(() => 2 + Math.floor(random.nextUniform() * 3))
  const all = bytes.reduce((sum, size) => sum + size * neuronCount, 0)
  const most = Math.floor(all * random.nextUniform())
  return { costs, bytes, most, least: Math.max(0, most - Math.floor(all / 4)) }
}

const costOf = ({ costs }: CountChoice, counts: ReadonlyArray<number>): number =>
  counts.reduce((sum, count, block) => sum + costs[block]![count]!, 0)

for (let seed = 1; seed <= 20; seed++) {
  test(`chooseExactly() finds the best counts within both bounds (seed ${seed})`, () => {
    const choice = randomChoice(seed, 12)
    let least = Infinity
    everyCombination(
      choice.costs.map((cost) => [...cost.keys()]),
      (counts) => {
        const bytes = counts.reduce((sum, count, block) => sum + count * choice.bytes[block]!, 0)
        if (bytes >= choice.least && bytes <= choice.most) least = Math.min(least, costOf(choice, counts))
      }
    )
    const found = chooseExactly(choice, Infinity)
    expect(found === undefined ? Infinity : costOf(choice, found)).toBeCloseTo(least, 9)
  })

  test(`choosePriced() keeps to both bounds, and comes within one block's bend of the best counts (seed ${seed})`, () => {
    const choice = randomChoice(seed, 300)
    const [exact, priced] = [chooseExactly(choice, Infinity)!, choosePriced(choice)!]
    const bytes = priced.reduce((sum, count, block) => sum + count * choice.bytes[block]!, 0)
    expect(bytes).toBeGreaterThanOrEqual(choice.least)
    expect(bytes).toBeLessThanOrEqual(choice.most)
    expect(costOf(choice, priced)).toBeLessThanOrEqual(costOf(choice, exact) * 1.05)
  })
}

test("chooseCounts() has nothing where no counts keep to the bounds", () => {
  const costs = [Float64Array.of(0, 1), Float64Array.of(0, 1)]
  expect(chooseCounts({ costs, bytes: [4, 4], least: 5, most: 7 })).toBeUndefined()
  expect(chooseCounts({ costs, bytes: [4, 4], least: 5, most: 8 })).toEqual([1, 1])
})

test("makespan() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(makespan()))).plugin).toBe(plugin)
})
