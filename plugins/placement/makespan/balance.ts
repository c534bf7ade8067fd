// Which neurons go where, so that a token's blocks take the least time together? Pair after pair of devices, from the best plain placement on.
import {
  blockSeconds,
  type BlockWork,
  readingSeconds,
  fits,
  type Owners,
  plainFills,
  type PlacementProblem
} from "@powerinfer/core"
import { chooseCounts } from "./choose_counts.ts"
import { bestDivision, mostReadFirst, type SharedNeurons, splitSeconds } from "./split_block.ts"

/** More rounds over all pairs change nothing that counts. */
const roundsMax = 6

/** Seconds of all blocks of a token. */
export const totalSeconds = (problem: PlacementProblem, work: ReadonlyArray<BlockWork>, owners: Owners): number =>
  owners.reduce(
    (sum, block, index) => sum + blockSeconds(block, work[index]!, problem.devices, problem.home).seconds,
    0
  )

/**
 * The placement with the least time that this search finds: never more than that of a plain one.
 *
 * - work     of each block, by neuron
 * - returns  undefined where not even a plain placement fits
 */
export const balance = (problem: PlacementProblem, work: ReadonlyArray<BlockWork>): Owners | undefined => {
  const seconds = (owners: Owners) => totalSeconds(problem, work, owners)
  const [start, ...others] = plainFills(problem)
  if (start === undefined) return undefined
  let best = others.reduce((least, owners) => (seconds(owners) < seconds(least) ? owners : least), start)
  let bestSeconds = seconds(best)
  for (let round = 0, improved = true; improved && round < roundsMax; round++) {
    improved = false
    for (const [first, second] of pairsOf(problem.fastestFirst)) {
      const found = dividePair(problem, work, best, first, second)
      if (found === undefined || !fits(problem, found)) continue
      const foundSeconds = seconds(found)
      if (foundSeconds >= bestSeconds) continue
      // What rounding of sums makes of nothing is no reason for another round.
      if (foundSeconds < bestSeconds * (1 - 1e-9)) improved = true
      ;[best, bestSeconds] = [found, foundSeconds]
    }
  }
  return best
}

const pairsOf = (devices: ReadonlyArray<number>): ReadonlyArray<readonly [number, number]> =>
  devices.flatMap((first, index) => devices.slice(index + 1).map((second) => [first, second] as const))

/** Divides anew what two devices have, and leaves the others alone. */
const dividePair = (
  problem: PlacementProblem,
  work: ReadonlyArray<BlockWork>,
  owners: Owners,
  first: number,
  second: number
): Owners | undefined => {
  const { heldBytes, roomBytes } = problem
  const shared = owners.map((block, index) => shareOf(problem, work[index]!, block, first, second))
  const bytes = shared.reduce((sum, { neurons }, block) => sum + neurons.length * heldBytes[block]!, 0)
  const counts = chooseCounts({
    costs: shared.map((block) =>
      Float64Array.from({ length: block.neurons.length + 1 }, (_, n) => splitSeconds(block, n))
    ),
    bytes: heldBytes,
    least: bytes - roomBytes[second]!,
    most: roomBytes[first]!
  })
  return counts && owners.map((block, index) => divided(block, shared[index]!, counts[index]!, first, second))
}

const shareOf = (
  { devices, home }: PlacementProblem,
  work: BlockWork,
  owners: Uint8Array,
  first: number,
  second: number
): SharedNeurons => {
  const theirs = (owner: number) => owner === first || owner === second
  const pool = Uint32Array.from(owners.keys()).filter((neuron) => theirs(owners[neuron]!))
  const now = blockSeconds(owners, work, devices, home)
  const left = devices.keys().filter((device) => !theirs(device) && owners.includes(device))
  const others = [...left].map((device) => ({
    seconds: now.devices[device]!,
    handOff: device === home ? 0 : (devices[device]!.handOffSeconds ?? 0)
  }))
  const one = (device: number) => ({
    ...readingSeconds(devices[device]!),
    handOff: device === home ? 0 : (devices[device]!.handOffSeconds ?? 0)
  })
  return {
    ...mostReadFirst(pool, work),
    streamedBytes: work.streamedBytes,
    first: one(first),
    second: one(second),
    others: {
      seconds: Math.max(0, ...others.map(({ seconds }) => seconds)),
      handOff: Math.max(0, ...others.map(({ handOff }) => handOff))
    }
  }
}

const divided = (owners: Uint8Array, shared: SharedNeurons, count: number, first: number, second: number) => {
  const run = bestDivision(shared, count)
  const [holder, other] = run.holder === "first" ? [first, second] : [second, first]
  const result = owners.slice()
  shared.neurons.forEach((neuron, index) => {
    result[neuron] = index >= run.start && index < run.start + run.count ? holder : other
  })
  return result
}
