// How many neurons of each block should the first of two devices have, so that the sum of all blocks is least and both have room?

/** A knapsack with one choice a block, bounded from both sides. */
export interface CountChoice {
  /** [block][count]: what the block costs with so many neurons on the first device. */
  readonly costs: ReadonlyArray<Float64Array>
  /** [block]: bytes of a neuron. */
  readonly bytes: ReadonlyArray<number>
  /** Bytes that the first device must have at least, because the second has no room for them, and those it has room for. */
  readonly least: number
  readonly most: number
}

/** Steps that the exact search may take: a tenth of a second. */
export const exactStepsMax = 3e7

/** Blocks that take more room in turn; after so many, what is left is of no account. */
const roundsMax = 100

/** Counts by block, or undefined where none keeps to both bounds. Exact where that takes at most `stepsMax` steps. */
export const chooseCounts = (choice: CountChoice, stepsMax = exactStepsMax): ReadonlyArray<number> | undefined =>
  chooseExactly(choice, stepsMax) ?? choosePriced(choice)

/**
 * Every sum of bytes up to `most` with its least cost, block after block.
 *
 * - returns  undefined where that is too long, or nothing keeps to the bounds
 */
export const chooseExactly = (
  { costs, bytes, least, most }: CountChoice,
  stepsMax: number
): ReadonlyArray<number> | undefined => {
  const unit = bytes.reduce(greatestCommonDivisor)
  const all = costs.reduce((sum, { length }, block) => sum + ((length - 1) * bytes[block]!) / unit, 0)
  const [low, high] = [Math.max(0, Math.ceil(least / unit)), Math.min(all, Math.floor(most / unit))]
  const steps = costs.reduce((sum, { length }) => sum + length * (high + 1), 0)
  if (low > high || steps > stepsMax) return undefined
  let best = new Float64Array(high + 1).fill(Infinity)
  best[0] = 0
  const chosen = costs.map((cost, block) => {
    const size = bytes[block]! / unit
    const counts = new Uint32Array(high + 1)
    const next = new Float64Array(high + 1).fill(Infinity)
    for (let used = 0; used <= high; used++) {
      if (best[used] === Infinity) continue
      for (let count = 0; count < cost.length && used + count * size <= high; count++) {
        const total = best[used]! + cost[count]!
        if (total < next[used + count * size]!) {
          next[used + count * size] = total
          counts[used + count * size] = count
        }
      }
    }
    best = next
    return counts
  })
  let used = low
  for (let sum = low; sum <= high; sum++) if (best[sum]! < best[used]!) used = sum
  if (best[used] === Infinity) return undefined
  const counts: Array<number> = []
  for (let block = costs.length - 1; block >= 0; block--) {
    const count = chosen[block]![used]!
    counts.unshift(count)
    used -= (count * bytes[block]!) / unit
  }
  return counts
}

/**
 * A price on the first device's bytes, found by halving, at which blocks that each choose for themselves fill it just so far; then the room
 * that is left goes block by block to whoever gains most. At most one block's bend from the best, and less where costs are convex.
 */
export const choosePriced = (choice: CountChoice): ReadonlyArray<number> | undefined => {
  const { costs, bytes, least, most } = choice
  const bytesOf = (counts: ReadonlyArray<number>) =>
    counts.reduce((sum, count, block) => sum + count * bytes[block]!, 0)
  const at = (price: number) => costs.map((cost, block) => cheapest(cost, price * bytes[block]!, 0, cost.length - 1))
  const steepest = costs.reduce((sum, cost) => cost.reduce((largest, one) => Math.max(largest, one), sum), 0)

  // Dearer bytes, fewer of them: `few` keeps to `most`, `many` to `least`.
  let [few, many] = [at(0), at(0)]
  if (bytesOf(many) > most || bytesOf(few) < least) {
    let [cheap, dear] = [-steepest, steepest]
    few = costs.map(() => 0)
    many = costs.map(({ length }) => length - 1)
    for (let step = 0; step < 80; step++) {
      const price = (cheap + dear) / 2
      const counts = at(price)
      if (bytesOf(counts) > most) [cheap, many] = [price, counts]
      else if (bytesOf(counts) < least) [dear, few] = [price, counts]
      // Within both bounds: the closer to no price at all, the better.
      else if (price > 0) [dear, few, many] = [price, counts, counts]
      else [cheap, few, many] = [price, counts, counts]
    }
  }
  const counts = [...few]
  for (let block = 0; block < costs.length && bytesOf(counts) < least; block++) {
    const missing = Math.ceil((least - bytesOf(counts)) / bytes[block]!)
    const room = Math.floor((most - bytesOf(counts)) / bytes[block]!)
    counts[block]! += Math.max(0, Math.min(missing, room, many[block]! - counts[block]!))
  }
  const within = (sum: number) => sum >= least && sum <= most
  if (!within(bytesOf(counts))) return undefined
  // The room that is left goes to whoever gains most by it.
  for (let round = 0; round < roundsMax; round++) {
    const sum = bytesOf(counts)
    const offers = costs.map((cost, block) => {
      const others = sum - counts[block]! * bytes[block]!
      const low = Math.max(0, Math.ceil((least - others) / bytes[block]!))
      const high = Math.min(cost.length - 1, Math.floor((most - others) / bytes[block]!))
      const count = cheapest(cost, 0, low, high)
      return { block, count, gain: cost[counts[block]!]! - cost[count]! }
    })
    const best = offers.reduce((one, other) => (other.gain > one.gain ? other : one))
    if (!(best.gain > 0)) break
    counts[best.block] = best.count
  }
  return counts
}

/** The count from low to high with the least cost at a price for each neuron; the smallest of several. */
const cheapest = (cost: Float64Array, price: number, low: number, high: number): number => {
  let best = low
  for (let count = low + 1; count <= high; count++) {
    if (cost[count]! + price * count < cost[best]! + price * best) best = count
  }
  return best
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))
