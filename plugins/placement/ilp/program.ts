// Which integer program places neurons? PowerInfer's: as much firing as possible on fast devices, and a block is divided only where that pays.
import {
  type DeviceFacts,
  evenBandwidth,
  hottestFirst,
  ownedBy,
  type Owners,
  type PlacementProblem
} from "@powerinfer/core"

/** Neurons of one block that are placed together: neighbours in the order of firing frequency. */
export interface NeuronGroup {
  readonly block: number
  readonly neurons: Uint32Array
  /** Sum over its neurons. */
  readonly frequency: number
}

/** A linear condition on columns: lower ≤ Σ value × column ≤ upper. */
export interface Row {
  readonly lower: number
  readonly upper: number
  readonly entries: ReadonlyArray<readonly [column: number, value: number]>
}

/** Maximizes Σ gain × column over columns that are 0 or 1. */
export interface BinaryProgram {
  readonly gains: ReadonlyArray<number>
  readonly rows: ReadonlyArray<Row>
}

/** Groups of `size` neurons; the last of a block may be smaller. */
export const groupNeurons = ({ frequencies }: PlacementProblem, size: number): ReadonlyArray<NeuronGroup> =>
  frequencies.flatMap((ofBlock, block) => {
    const order = hottestFirst(ofBlock)
    return Array.from({ length: Math.ceil(order.length / size) }, (_, index) => {
      const neurons = order.slice(index * size, (index + 1) * size)
      return { block, neurons, frequency: neurons.reduce((sum, neuron) => sum + ofBlock[neuron]!, 0) }
    })
  })

/**
 * C_l: the fewest neurons for which C_l · T_fast + T_sync ≤ C_l · T_slow, where T is the time of reading one neuron.
 *
 * - returns  0 where a hand-off costs nothing, Infinity where the device is not faster than the slowest
 */
export const fewestWorthwhile = (
  heldBytes: number,
  fast: DeviceFacts,
  slow: DeviceFacts,
  handOffSeconds: number
): number => {
  if (handOffSeconds === 0) return 0
  const neuronSeconds = ({ bandwidthBytesPerSecond = evenBandwidth }: DeviceFacts) =>
    heldBytes / bandwidthBytesPerSecond
  const saved = neuronSeconds(slow) - neuronSeconds(fast)
  return saved > 0 ? Math.ceil(handOffSeconds / saved) : Infinity
}

/**
 * The program. Column group_index × fast_count + rank is 1 where the group is on that fast device; on none of them, it is on the slowest device.
 * Behind these: one column a block and fast device that is 1 where the device has any of the block, for blocks where that must pay.
 */
export const writeProgram = (problem: PlacementProblem, groups: ReadonlyArray<NeuronGroup>): BinaryProgram => {
  const { devices, heldBytes, roomBytes, fastestFirst, ffnWidth } = problem
  const fast = fastestFirst.slice(0, -1)
  const slow = fastestFirst.at(-1)!
  const column = (group: number, rank: number) => group * fast.length + rank
  const gains = groups.flatMap(({ frequency }) => fast.map(() => frequency))
  // Whole numbers: a bound of bytes is kept to the byte.
  const unit = heldBytes.reduce(greatestCommonDivisor)
  const units = groups.map(({ block, neurons }) => (heldBytes[block]! / unit) * neurons.length)
  const rows: Array<Row> = []

  if (fast.length > 1) {
    groups.forEach((_, group) =>
      rows.push({ lower: 0, upper: 1, entries: fast.map((_device, rank) => [column(group, rank), 1]) })
    )
  }
  fast.forEach((device, rank) =>
    rows.push({
      lower: 0,
      upper: Math.floor(roomBytes[device]! / unit),
      entries: groups.map((_, group) => [column(group, rank), units[group]!])
    })
  )
  const all = units.reduce((sum, size) => sum + size, 0)
  rows.push({
    lower: Math.max(0, all - Math.floor(roomBytes[slow]! / unit)),
    upper: all,
    entries: groups.flatMap((_, group) => fast.map((_device, rank) => [column(group, rank), units[group]!] as const))
  })

  // Who hands off is whoever is not the home.
  const handOff = Math.max(
    ...devices.map(({ handOffSeconds = 0 }, device) => (device === problem.home ? 0 : handOffSeconds))
  )
  heldBytes.forEach((bytes, block) => {
    const ofBlock = [...groups.keys()].filter((group) => groups[group]!.block === block)
    fast.forEach((device, rank) => {
      const least = fewestWorthwhile(bytes, devices[device]!, devices[slow]!, handOff)
      if (least === 0) return
      const count = ofBlock.map((group) => [column(group, rank), groups[group]!.neurons.length] as const)
      if (least > ffnWidth) return void rows.push({ lower: 0, upper: 0, entries: count })
      const used = gains.push(0) - 1
      rows.push({ lower: 0, upper: Infinity, entries: [...count, [used, -least]] })
      rows.push({ lower: -Infinity, upper: 0, entries: [...count, [used, -ffnWidth]] })
    })
  })
  return { gains, rows }
}

/** What a solution of the program says. */
export const readOwners = (
  { fastestFirst, heldBytes, ffnWidth }: PlacementProblem,
  groups: ReadonlyArray<NeuronGroup>,
  columns: ArrayLike<number>
): Owners => {
  const fast = fastestFirst.slice(0, -1)
  const owners = ownedBy(fastestFirst.at(-1)!, heldBytes.length, ffnWidth)
  groups.forEach(({ block, neurons }, group) => {
    const rank = fast.findIndex((_, index) => columns[group * fast.length + index]! > 0.5)
    if (rank >= 0) for (const neuron of neurons) owners[block]![neuron] = fast[rank]!
  })
  return owners
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))
