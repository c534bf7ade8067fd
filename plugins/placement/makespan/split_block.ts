// How long does a block take when two devices divide some of its neurons between them, and which of them go where?
import type { BlockWork, ReadingSeconds } from "@powerinfer/core"

/** Neurons of one block that a pair of devices, first and second, divides. */
export interface SharedNeurons {
  /** In the order of what a token reads of them, most first. */
  readonly neurons: Uint32Array
  /** [neuron_count + 1]: scattered bytes of the neurons before, and how often rows of them are read alone. */
  readonly bytesBefore: Float64Array
  readonly readsBefore: Float64Array
  /** Of each of them. */
  readonly streamedBytes: number
  readonly first: PairDevice
  readonly second: PairDevice
  /** What the block's other devices take, whatever the pair does. */
  readonly others: { readonly seconds: number; readonly handOff: number }
}

/** One of the pair. */
export interface PairDevice extends ReadingSeconds {
  /** If it has any neuron; 0 of the home. */
  readonly handOff: number
}

/** Neurons of a block with what a token reads of each, most first. */
export const mostReadFirst = (neurons: Uint32Array, { scatteredBytes, reads }: BlockWork) => {
  const ordered = neurons.toSorted((a, b) => scatteredBytes[b]! - scatteredBytes[a]! || a - b)
  const [bytesBefore, readsBefore] = [new Float64Array(ordered.length + 1), new Float64Array(ordered.length + 1)]
  ordered.forEach((neuron, index) => {
    bytesBefore[index + 1] = bytesBefore[index]! + scatteredBytes[neuron]!
    readsBefore[index + 1] = readsBefore[index]! + reads[neuron]!
  })
  return { neurons: ordered, bytesBefore, readsBefore }
}

/** Neighbours in the order of what is read: neurons[start, start + count). */
interface Run {
  readonly start: number
  readonly count: number
  /** Of the slower of the two devices. */
  readonly seconds: number
}

/**
 * The run of `count` neurons that `holder` should have if `other` has all the rest.
 *
 * The later it begins, the less the holder reads and the more the other: the best start is where the slower of the two changes.
 */
const bestRun = (shared: SharedNeurons, holder: PairDevice, other: PairDevice, count: number): Run => {
  const { neurons, bytesBefore, readsBefore, streamedBytes } = shared
  const [allBytes, allReads] = [bytesBefore[neurons.length]!, readsBefore[neurons.length]!]
  const secondsOf = (device: PairDevice, neuronCount: number, bytes: number, reads: number) =>
    (neuronCount * streamedBytes + bytes) * device.byte + reads * device.neuron
  const bytesOf = (start: number) => bytesBefore[start + count]! - bytesBefore[start]!
  const readsOf = (start: number) => readsBefore[start + count]! - readsBefore[start]!
  const held = (start: number) => secondsOf(holder, count, bytesOf(start), readsOf(start))
  const left = (start: number) =>
    secondsOf(other, neurons.length - count, allBytes - bytesOf(start), allReads - readsOf(start))
  let [low, high] = [0, neurons.length - count]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (held(middle) <= left(middle)) high = middle
    else low = middle + 1
  }
  const at = (start: number): Run => ({ start, count, seconds: Math.max(held(start), left(start)) })
  const [run, earlier] = [at(low), low > 0 ? at(low - 1) : undefined]
  return earlier !== undefined && earlier.seconds < run.seconds ? earlier : run
}

/** Who of the pair has a run, and which; the other has the rest. */
export interface Division extends Run {
  readonly holder: "first" | "second"
}

/**
 * The best way to give the first device `count` of the neurons: as a run, or as what a run of the second leaves it.
 *
 * Sets of other forms could make the two more even, by less than one neuron's bytes.
 */
export const bestDivision = (shared: SharedNeurons, count: number): Division => {
  const run = bestRun(shared, shared.first, shared.second, count)
  const rest = bestRun(shared, shared.second, shared.first, shared.neurons.length - count)
  return rest.seconds < run.seconds ? { holder: "second", ...rest } : { holder: "first", ...run }
}

/** Seconds of the block when the first device has `count` of the neurons, the best ones. */
export const splitSeconds = (shared: SharedNeurons, count: number): number => {
  const reading = Math.max(bestDivision(shared, count).seconds, shared.others.seconds)
  const first = count > 0 ? shared.first.handOff : 0
  const second = count < shared.neurons.length ? shared.second.handOff : 0
  return reading + Math.max(first, second, shared.others.handOff)
}
