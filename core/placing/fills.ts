// Which plain ways are there of filling devices with neurons, the fastest first? Policies by themselves, and what cleverer ones must beat.
import { ownedBy, type Owners } from "./owners.ts"
import { hottestFirst, type PlacementProblem } from "./problem.ts"

/**
 * Whole blocks, the last ones on the fastest device: what llama.cpp does with `-ngl`.
 *
 * - returns  undefined where no device has room for a block that is left
 */
export const fillByBlock = (problem: PlacementProblem): Owners | undefined => {
  const { heldBytes, ffnWidth, fastestFirst } = problem
  const room = [...problem.roomBytes]
  const owners: Array<Uint8Array> = []
  let rank = 0
  for (let block = heldBytes.length - 1; block >= 0; block--) {
    const bytes = heldBytes[block]! * ffnWidth
    // Runs of blocks: a device that had no room for one gets none before it.
    while (rank < fastestFirst.length && room[fastestFirst[rank]!]! < bytes) rank++
    const device = fastestFirst[rank]
    if (device === undefined) return undefined
    room[device]! -= bytes
    owners.unshift(new Uint8Array(ffnWidth).fill(device))
  }
  return owners
}

/**
 * Neurons of the whole model in the order of firing frequency per byte, each on the fastest device that has room left.
 *
 * - returns  undefined where some neuron has no room
 */
export const fillByFrequency = (problem: PlacementProblem): Owners | undefined => {
  const { heldBytes, frequencies, ffnWidth, fastestFirst } = problem
  const blockCount = heldBytes.length
  const worth = Float64Array.from(
    { length: blockCount * ffnWidth },
    (_, index) =>
      frequencies[Math.floor(index / ffnWidth)]![index % ffnWidth]! / heldBytes[Math.floor(index / ffnWidth)]!
  )
  const order = Uint32Array.from(worth.keys()).sort((a, b) => worth[b]! - worth[a]! || a - b)
  const room = [...problem.roomBytes]
  const owners = ownedBy(0, blockCount, ffnWidth)
  for (const index of order) {
    const block = Math.floor(index / ffnWidth)
    const device = fastestFirst.find((candidate) => room[candidate]! >= heldBytes[block]!)
    if (device === undefined) return undefined
    room[device]! -= heldBytes[block]!
    owners[block]![index % ffnWidth] = device
  }
  return owners
}

/**
 * The same share of every block on a device, as large as the fastest ones have room for.
 *
 * - `order`  of a block's neurons: the first ones go to the fastest device
 * - returns  undefined where rounding leaves no room for the rest
 */
export const fillEvenly = (problem: PlacementProblem, order: (block: number) => Uint32Array): Owners | undefined => {
  const { heldBytes, ffnWidth, fastestFirst } = problem
  const blockCount = heldBytes.length
  const bytesOfShare = heldBytes.reduce((sum, bytes) => sum + bytes * ffnWidth, 0)
  const room = [...problem.roomBytes]
  const taken = heldBytes.map(() => 0)
  const orders = heldBytes.map((_, block) => order(block))
  const owners = ownedBy(0, blockCount, ffnWidth)
  const give = (block: number, device: number, count: number): void => {
    for (let i = taken[block]!; i < taken[block]! + count; i++) owners[block]![orders[block]![i]!] = device
    taken[block]! += count
    room[device]! -= count * heldBytes[block]!
  }
  for (const device of fastestFirst) {
    const share = Math.min(1, room[device]! / bytesOfShare)
    const count = Math.floor(share * ffnWidth)
    for (let block = 0; block < blockCount; block++) give(block, device, Math.min(count, ffnWidth - taken[block]!))
    // What rounding left over: one neuron more of the blocks, from the first on.
    for (let block = 0; block < blockCount; block++) {
      if (taken[block]! < ffnWidth && room[device]! >= heldBytes[block]!) give(block, device, 1)
    }
  }
  return taken.every((count) => count === ffnWidth) ? owners : undefined
}

/** Neurons by their ids. */
export const lowestFirst = (ffnWidth: number): Uint32Array => Uint32Array.from({ length: ffnWidth }, (_, id) => id)

/** Every way above that fits, and everything on one device, for each that has room for it. */
export const plainFills = (problem: PlacementProblem): ReadonlyArray<Owners> =>
  [
    fillByFrequency(problem),
    fillByBlock(problem),
    fillEvenly(problem, () => lowestFirst(problem.ffnWidth)),
    fillEvenly(problem, (block) => hottestFirst(problem.frequencies[block]!)),
    ...problem.fastestFirst
      .filter((device) => holdsAll(problem, device))
      .map((device) => ownedBy(device, problem.heldBytes.length, problem.ffnWidth))
  ].filter((owners) => owners !== undefined)

const holdsAll = ({ heldBytes, ffnWidth, roomBytes }: PlacementProblem, device: number): boolean =>
  heldBytes.reduce((sum, bytes) => sum + bytes * ffnWidth, 0) <= roomBytes[device]!
