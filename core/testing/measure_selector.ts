// What does a call of `select` cost?
import * as Effect from "effect/Effect"
import type { HiddenRows } from "../batch.ts"
import type { Model } from "../model/model.ts"
import { NeuronSet } from "../neuron_set.ts"
import { measureNativeSelector } from "../native/measure_predictor.ts"
import type { NativeSelector, NeuronSelector } from "../predictor.ts"
import { measureAllocation } from "./allocation.ts"
import { batchOfStrangers } from "./predictor_context.ts"

/** The cost of one selector on one model. */
export interface SelectorCost {
  /** The median over blocks: what a block of one token costs, if its hidden vectors have one row. */
  readonly nanosecondsPerCall: number
  /** The same of the fastest samples: what it would be on a machine with nothing else to do. */
  readonly nanosecondsAtBest: number
  /** By block, each the median of its samples. */
  readonly nanosecondsByBlock: ReadonlyArray<number>
  /** The median over blocks; undefined where the runtime does not say. */
  readonly bytesPerCall: number | undefined
  /** Neurons that a row gets, on average over blocks. */
  readonly neuronsPerRow: number
  /** Of a native one: what a call costs a native device more than the same kernel would if it were built in. The median over blocks. */
  readonly nanosecondsOverBuiltIn?: number
}

const sampleCount = 15
/** A sample is long enough for a clock that ticks in microseconds. */
const sampleMs = 0.5

/**
 * Measures an opened selector, block by block, after it has been compiled.
 *
 * - `rows`  hidden vectors of a block, as `select` gets them; asked for once a block
 * - cost    some 0.5 s a block, more where a call takes more than a millisecond
 *
 * A selector that proposes every neuron costs nothing: it is never called.
 */
export const measureSelector = (given: {
  readonly selector: NeuronSelector
  readonly model: Model
  readonly rows: (block: number) => HiddenRows
}): SelectorCost => {
  const { selector, model, rows } = given
  const { blockCount, ffnWidth } = model.shape
  if (selector.proposes === "every") {
    return {
      nanosecondsPerCall: 0,
      nanosecondsAtBest: 0,
      nanosecondsByBlock: Array.from({ length: blockCount }, () => 0),
      bytesPerCall: 0,
      neuronsPerRow: ffnWidth
    }
  }
  const blocks = Array.from({ length: blockCount }, (_, block) => {
    const hidden = rows(block)
    const active = new NeuronSet(ffnWidth, hidden.rowCount)
    const batch = batchOfStrangers(hidden.rowCount)
    const call = () => {
      active.reset(hidden.rowCount)
      selector.select(block, hidden, active, batch)
    }
    const samples = timeCalls(call)
    const bytes = measureAllocation(call)?.bytes
    let named = 0
    for (let row = 0; row < hidden.rowCount; row++) named += active.count(row)
    const neurons = named / hidden.rowCount
    const overBuiltIn = selector.native && nanosecondsOverBuiltIn(selector.native, block, hidden)
    return { nanoseconds: median(samples), atBest: Math.min(...samples), bytes, neurons, overBuiltIn }
  })
  const nanosecondsByBlock = blocks.map(({ nanoseconds }) => nanoseconds)
  const bytes = blocks.map((block) => block.bytes).filter((count) => count !== undefined)
  const overBuiltIn = blocks.map((block) => block.overBuiltIn).filter((nanoseconds) => nanoseconds !== undefined)
  return {
    nanosecondsPerCall: median(nanosecondsByBlock),
    nanosecondsAtBest: median(blocks.map(({ atBest }) => atBest)),
    nanosecondsByBlock,
    bytesPerCall: bytes.length === 0 ? undefined : median(bytes),
    neuronsPerRow: blocks.reduce((sum, { neurons }) => sum + neurons, 0) / blockCount,
    ...(overBuiltIn.length > 0 && { nanosecondsOverBuiltIn: median(overBuiltIn) })
  }
}

/** The library is loaded: its predictor is open. */
const nanosecondsOverBuiltIn = (native: NativeSelector, block: number, hidden: HiddenRows): number => {
  const { kernelSeconds, callSeconds } = Effect.runSync(measureNativeSelector(native, block, hidden))
  return (callSeconds - kernelSeconds) * 1e9
}

/** Nanoseconds a call, of every sample. */
const timeCalls = (call: () => void): ReadonlyArray<number> => {
  // Until it has been compiled, or has taken long enough to know that it is slow.
  const start = performance.now()
  let calls = 0
  while (calls < 3 || (calls < 20_000 && performance.now() - start < 100)) {
    call()
    calls++
  }
  const perSample = Math.max(1, Math.ceil((sampleMs * calls) / (performance.now() - start)))
  return Array.from({ length: sampleCount }, () => {
    const begin = performance.now()
    for (let repeat = 0; repeat < perSample; repeat++) call()
    return ((performance.now() - begin) * 1e6) / perSample
  })
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
