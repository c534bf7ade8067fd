// Goal: the plain ways of filling devices keep to the room there is, to the byte, and put on the fastest device what they promise.
// Method: random problems, seeded; bytes are counted neuron by neuron.
import { describe, expect, test } from "bun:test"
import {
  fastFrequency,
  fillByBlock,
  fillByFrequency,
  fillEvenly,
  fits,
  hottestFirst,
  lowestFirst
} from "@powerinfer/core"
import { countedBytes, randomProblem } from "../support/placements.ts"

const seeds = Array.from({ length: 40 }, (_, seed) => seed + 1)
const shapeOf = (seed: number) => ({ blockCount: 1 + (seed % 4), ffnWidth: 20 + seed, deviceCount: 1 + (seed % 3) })

describe("fillByFrequency(), fillEvenly() and fillByBlock()", () => {
  for (const seed of seeds) {
    test(`keep to the room of every device, to the byte (seed ${seed})`, () => {
      const problem = randomProblem(seed, shapeOf(seed))
      const filled = [
        fillByFrequency(problem),
        fillEvenly(problem, () => lowestFirst(problem.ffnWidth)),
        fillByBlock(problem)
      ]
      for (const owners of filled) {
        if (owners === undefined) continue
        const bytes = countedBytes(problem, owners)
        bytes.forEach((held, device) => expect(held).toBeLessThanOrEqual(problem.roomBytes[device]!))
        expect(fits(problem, owners)).toBe(true)
      }
      // Some room is to spare, so that only whole blocks may fail to fit.
      expect(filled[0]).toBeDefined()
      expect(filled[1]).toBeDefined()
    })
  }
})

test("fillByFrequency() leaves on the slower device no neuron that fires more often than one on the faster, of equal sizes", () => {
  for (const seed of seeds) {
    const problem = randomProblem(seed, { blockCount: 3, ffnWidth: 37, deviceCount: 2, equalBytes: true })
    const owners = fillByFrequency(problem)!
    const on = (device: number) =>
      owners.flatMap((block, index) => [...problem.frequencies[index]!].filter((_, neuron) => block[neuron] === device))
    const [fast, slow] = problem.fastestFirst
    const rarest = on(fast!).reduce((least, frequency) => Math.min(least, frequency), Infinity)
    for (const frequency of on(slow!)) expect(frequency).toBeLessThanOrEqual(rarest)
    // The fast device is full: not one neuron more has room.
    if (on(slow!).length > 0)
      expect(countedBytes(problem, owners)[fast!]! + 64).toBeGreaterThan(problem.roomBytes[fast!]!)
  }
})

test("fillByFrequency() gives fast devices at least the firing that any other fill gives them, of equal sizes", () => {
  for (const seed of seeds) {
    const problem = randomProblem(seed, { blockCount: 3, ffnWidth: 37, deviceCount: 2, equalBytes: true })
    const most = fastFrequency(problem, fillByFrequency(problem)!)
    const even = fillEvenly(problem, (block) => hottestFirst(problem.frequencies[block]!))!
    expect(most).toBeGreaterThanOrEqual(fastFrequency(problem, even) - 1e-9)
  }
})

test("fillByBlock() gives whole blocks, the last ones to the fastest device", () => {
  const { ffnWidth, ...problem } = randomProblem(5, { blockCount: 4, ffnWidth: 10, deviceCount: 2, equalBytes: true })
  const roomBytes = problem.fastestFirst.map(() => 0)
  roomBytes[problem.fastestFirst[0]!] = 2 * 640 + 639
  roomBytes[problem.fastestFirst[1]!] = 2 * 640
  const [fast, slow] = problem.fastestFirst
  const holders = fillByBlock({ ...problem, ffnWidth, roomBytes })!.map((block) => [...new Set(block)])
  expect(holders).toEqual([[slow!], [slow!], [fast!], [fast!]])
  roomBytes[slow!] = 2 * 640 - 1
  expect(fillByBlock({ ...problem, ffnWidth, roomBytes })).toBeUndefined()
})

test("fillEvenly() gives the fastest device the same share of every block, within one neuron", () => {
  for (const seed of seeds) {
    const problem = randomProblem(seed, { blockCount: 4, ffnWidth: 50, deviceCount: 2 })
    const fast = problem.fastestFirst[0]!
    const owners = fillEvenly(problem, () => lowestFirst(50))!
    const counts = owners.map((block) => block.filter((owner) => owner === fast).length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    for (const [block, count] of counts.entries()) expect(owners[block]!.lastIndexOf(fast)).toBe(count - 1)
  }
})
