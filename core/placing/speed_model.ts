// How many tokens a second does a plan bring? Bytes over bandwidth on every device, all of which work at once within a block.
import type { CacheType } from "../backend.ts"
import { estimateMemory } from "../model/memory.ts"
import type { Model } from "../model/model.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import type { DeviceFacts, PlacementPlan } from "../placement.ts"
import { neuronBytes } from "./block_costs.ts"
import { ownersOf } from "./owners.ts"

/** How neurons are selected, as far as it decides what is read: `proposes` and `confirms` as a `NeuronSelector` has them. */
export interface Selection {
  readonly proposes: "every" | "some"
  readonly confirms: boolean
  /** Of a selector that proposes some: the share of neurons that it names. Absent: those that fire, as a perfect one would. */
  readonly candidateShare?: number | undefined
}

/** What a token reads of one block, one neuron after the other. */
export interface BlockWork {
  /** Bytes of every neuron that are read with all others': at the device's full bandwidth. */
  readonly streamedBytes: number
  /** [ffn_width]: bytes that are read if the neuron is named or fires, times how often that happens: row by row. */
  readonly scatteredBytes: Float64Array
  /** [ffn_width]: how often rows of the neuron are read alone. */
  readonly reads: Float64Array
}

/**
 * Expected bytes of one decoded token, by block and neuron.
 *
 * - `frequencies`  [block][ffn_width]: the share of tokens for which a neuron fires
 */
export const expectedWork = (
  model: Model,
  frequencies: ReadonlyArray<Float64Array>,
  { proposes, confirms, candidateShare }: Selection
): ReadonlyArray<BlockWork> =>
  neuronBytes(model).map(({ gate, rest }, block) => {
    const fires = frequencies[block]!
    if (proposes === "every") {
      const none = new Float64Array(fires.length)
      if (!confirms) return { streamedBytes: gate + rest, scatteredBytes: none, reads: none }
      return { streamedBytes: gate, scatteredBytes: fires.map((frequency) => frequency * rest), reads: fires }
    }
    const named = candidateShare === undefined ? fires : scaledTo(fires, candidateShare)
    return {
      streamedBytes: 0,
      scatteredBytes: named.map(
        (name, neuron) => name * gate + (confirms ? Math.min(name, fires[neuron]!) : name) * rest
      ),
      reads: named
    }
  })

/** Names every neuron in proportion to how often it fires, at most always, so that `share` of all are named. */
const scaledTo = (fires: Float64Array, share: number): Float64Array => {
  const wanted = Math.min(1, share) * fires.length
  const namedBy = (factor: number) => fires.map((frequency) => Math.min(1, frequency * factor))
  const total = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0)
  const [fired, most] = [total(fires), fires.filter((frequency) => frequency > 0).length]
  // Those that never fired share what is left.
  if (wanted >= most) {
    const left = most === fires.length ? 0 : (wanted - most) / (fires.length - most)
    return fires.map((frequency) => (frequency > 0 ? 1 : left))
  }
  let [low, high] = [0, wanted / fired]
  while (total(namedBy(high)) < wanted) high *= 2
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2
    if (total(namedBy(middle)) < wanted) low = middle
    else high = middle
  }
  return namedBy(high)
}

/** Of a device that has no figures: everybody is as fast as everybody else. */
export const evenBandwidth = 1e10

/** What reading takes on a device. */
export interface ReadingSeconds {
  readonly byte: number
  /** Of a neuron whose rows are read alone, beyond the bytes. */
  readonly neuron: number
}

export const readingSeconds = ({
  bandwidthBytesPerSecond = evenBandwidth,
  neuronOverheadSeconds = 0
}: DeviceFacts): ReadingSeconds => ({ byte: 1 / bandwidthBytesPerSecond, neuron: neuronOverheadSeconds })

/** What one block's FFN takes. */
export interface BlockSeconds {
  /** [device]: reading its neurons. */
  readonly devices: ReadonlyArray<number>
  /** The longest hand-off of a device other than the home that holds neurons. */
  readonly handOff: number
  /** The slowest device's reading, then that hand-off. */
  readonly seconds: number
}

/**
 * Time of a block whose neurons these devices hold.
 *
 * The devices' expected times are compared, not the times of each token: how many neurons fire varies by some percent from token to token.
 */
export const blockSeconds = (
  owners: Uint8Array,
  { streamedBytes, scatteredBytes, reads }: BlockWork,
  devices: ReadonlyArray<DeviceFacts>,
  home: number
): BlockSeconds => {
  const counts = devices.map(() => 0)
  const scattered = devices.map(() => 0)
  const alone = devices.map(() => 0)
  for (let neuron = 0; neuron < owners.length; neuron++) {
    counts[owners[neuron]!]!++
    scattered[owners[neuron]!]! += scatteredBytes[neuron]!
    alone[owners[neuron]!]! += reads[neuron]!
  }
  let [slowest, handOff] = [0, 0]
  const seconds = devices.map((device, index) => {
    if (counts[index] === 0) return 0
    const { byte, neuron } = readingSeconds(device)
    const reading = (counts[index]! * streamedBytes + scattered[index]!) * byte + alone[index]! * neuron
    slowest = Math.max(slowest, reading)
    if (index !== home) handOff = Math.max(handOff, device.handOffSeconds ?? 0)
    return reading
  })
  return { devices: seconds, handOff, seconds: slowest + handOff }
}

/** What is to be predicted. */
export interface PredictedRun {
  readonly model: Model
  readonly plan: PlacementPlan
  readonly devices: ReadonlyArray<DeviceFacts>
  /** [block][ffn_width]: `readFrequencies` of a profile. */
  readonly frequencies: ReadonlyArray<Float64Array>
  readonly selection: Selection
  /** What the predictor itself reads for a token, on the home; default 0. */
  readonly predictorBytesPerToken?: number
  readonly cacheType: CacheType
  /** Positions in the KV cache, on average over the tokens. */
  readonly cachePositions: number
}

/** Seconds of one decoded token, by what they go into. */
export interface TokenSeconds {
  /** q, k, v and output matrices. */
  readonly attention: number
  readonly cache: number
  /** Logits, and a row of each embedding. */
  readonly output: number
  /** Of every block the slowest device. */
  readonly ffn: number
  readonly predictor: number
  readonly handOff: number
  /** Of the home, beyond reading. */
  readonly overhead: number
}

export interface SpeedPrediction {
  readonly tokensPerSecond: number
  readonly seconds: TokenSeconds
  readonly blocks: ReadonlyArray<BlockSeconds>
  /** Weights and KV cache that a token reads on all devices together. */
  readonly bytesPerToken: number
}

/**
 * Predicts decoding of one token at a time.
 *
 * - returns  undefined where a device that takes part has no bandwidth
 */
export const predictSpeed = (run: PredictedRun): SpeedPrediction | undefined => {
  const { model, plan, devices, frequencies, selection, predictorBytesPerToken = 0 } = run
  const home = devices[plan.home]!
  const takesPart = (_: DeviceFacts, device: number) =>
    device === plan.home || plan.shares.some((block) => block[device] !== "none")
  if (devices.filter(takesPart).some(({ bandwidthBytesPerSecond }) => bandwidthBytesPerSecond === undefined)) {
    return undefined
  }
  const { ffnBytes, tokenBytes } = sparsityFacts(model)
  const attentionBytes = model.blocks.reduce(
    (sum, { q, k, v, attentionOutput }) =>
      [q, k, v, attentionOutput].reduce((part, { weight }) => part + weight.sizeBytes, sum),
    0
  )
  const { cacheBytes } = estimateMemory(model, {
    contextLength: run.cachePositions,
    cacheType: run.cacheType,
    rowCountMax: 0
  })
  const outputBytes = tokenBytes - ffnBytes - attentionBytes
  const work = expectedWork(model, frequencies, selection)
  const owners = ownersOf(plan, model.shape.ffnWidth)
  const blocks = owners.map((block, index) => blockSeconds(block, work[index]!, devices, plan.home))
  const { byte } = readingSeconds(home)
  const seconds: TokenSeconds = {
    attention: attentionBytes * byte,
    cache: cacheBytes * byte,
    output: outputBytes * byte,
    ffn: blocks.reduce((sum, block) => sum + block.seconds - block.handOff, 0),
    predictor: predictorBytesPerToken * byte,
    handOff: blocks.reduce((sum, { handOff }) => sum + handOff, 0),
    overhead: home.tokenOverheadSeconds ?? 0
  }
  const ffnRead = work.reduce(
    (sum, { streamedBytes, scatteredBytes }) =>
      scatteredBytes.reduce((part, bytes) => part + bytes, sum + streamedBytes * scatteredBytes.length),
    0
  )
  return {
    tokensPerSecond: 1 / Object.values(seconds).reduce((sum, part) => sum + part, 0),
    seconds,
    blocks,
    bytesPerToken: attentionBytes + cacheBytes + outputBytes + ffnRead + predictorBytesPerToken
  }
}
