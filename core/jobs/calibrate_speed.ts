// How fast does a device read this model, and what does a token cost beyond reading? Fitted from two short runs, so that other runs can be predicted.
import * as Effect from "effect/Effect"
import type { CacheType } from "../backend.ts"
import type { OpenPlan } from "../engine/open_plan.ts"
import type { Profile } from "../engine/profiler.ts"
import { estimateMemory } from "../model/memory.ts"
import type { Model } from "../model/model.ts"
import { sparsityFacts } from "../model/sparsity_facts.ts"
import type { DeviceFacts } from "../placement.ts"
import { expectedWork, type Selection } from "../placing/speed_model.ts"
import { measureSpeed } from "./measure_speed.ts"

/** One way of decoding, measured on one device. */
export interface MeasuredDecode {
  readonly selection: Selection
  readonly secondsPerToken: number
  /** What of that went into stages that read no weights and no cache. */
  readonly overheadSeconds: number
  /** Share of neurons that were computed. */
  readonly activeShare: number
}

/** Where the runs were measured. */
export interface DecodeDepth {
  readonly cacheType: CacheType
  /** Positions in the KV cache, the mean over the tokens. */
  readonly cachePositions: number
}

/** The part of `DeviceFacts` that a fit tells. */
export type FittedSpeed = Required<Pick<DeviceFacts, "bandwidthBytesPerSecond" | "tokenOverheadSeconds">> &
  Pick<DeviceFacts, "neuronOverheadSeconds">

/**
 * Fits the speed model to a dense run: its bytes over its time, the overhead taken off. A run that reads rows of single neurons tells what these take beyond
 * their bytes: the time that is left, over how many it reads.
 */
export const fitSpeed = (
  model: Model,
  { cacheType, cachePositions }: DecodeDepth,
  dense: MeasuredDecode,
  sparse?: MeasuredDecode
): FittedSpeed => {
  const { tokenBytes, ffnBytes } = sparsityFacts(model)
  const { cacheBytes } = estimateMemory(model, { contextLength: cachePositions, cacheType, rowCountMax: 0 })
  const bandwidth = (tokenBytes + cacheBytes) / (dense.secondsPerToken - dense.overheadSeconds)
  const fitted = { bandwidthBytesPerSecond: bandwidth, tokenOverheadSeconds: dense.overheadSeconds }
  if (sparse === undefined) return fitted
  const { blockCount, ffnWidth } = model.shape
  const alike = Array.from({ length: blockCount }, () => new Float64Array(ffnWidth).fill(sparse.activeShare))
  const work = expectedWork(model, alike, sparse.selection)
  const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)
  const ffnRead = work.reduce((bytes, one) => bytes + one.streamedBytes * ffnWidth + sum(one.scatteredBytes), 0)
  const reads = work.reduce((count, one) => count + sum(one.reads), 0)
  if (reads === 0) return fitted
  const reading = (tokenBytes - ffnBytes + cacheBytes + ffnRead) / bandwidth
  // Less than nothing is noise.
  const left = Math.max(0, sparse.secondsPerToken - fitted.tokenOverheadSeconds - reading)
  return { ...fitted, neuronOverheadSeconds: left / reads }
}

/** Share of decoding's time in stages that read nothing: norms, rope, the engine itself. 0 where a device says nothing of its stages. */
export const idleShare = (profile: Profile | undefined): number => {
  if (profile === undefined || !(profile.decode.seconds > 0)) return 0
  const idle = profile.decode.stages.filter(({ bytes }) => bytes === 0)
  return idle.reduce((sum, { seconds }) => sum + seconds, 0) / profile.decode.seconds
}

/** What is run to calibrate. */
export interface CalibrationOptions<E> extends Pick<DecodeDepth, "cacheType"> {
  readonly promptTokens: number
  readonly decodeTokens: number
  readonly repetitions: number
  readonly seed: number
  readonly measureBandwidth: Effect.Effect<number, E>
}

export interface Calibration {
  readonly speed: FittedSpeed
  /** Bytes per second that a plain loop reads. */
  readonly memoryBytesPerSecond: number
  /** Of the sparse run: what share of neurons fires in text of the model's own. Undefined without one. */
  readonly activeShare: number | undefined
  readonly depth: DecodeDepth
}

/**
 * Runs one device's plans in turns and fits the speed model to them.
 *
 * - `dense`   selects every neuron and confirms none
 * - `sparse`  proposes every neuron and confirms: for models whose neurons may not fire
 * - both      opened to be profiled, or what takes no reading is taken for reading
 * - fails     as `measureSpeed` does
 */
export const calibrateSpeed = Effect.fnUntraced(function* <E>(
  { dense, sparse }: { readonly dense: OpenPlan; readonly sparse?: OpenPlan | undefined },
  options: CalibrationOptions<E>
) {
  const plans = sparse === undefined ? [dense] : [dense, sparse]
  const subjects = plans.map((plan, index) => ({
    name: index === 0 ? "dense" : "sparse",
    plan,
    measureBandwidth: options.measureBandwidth
  }))
  const figures = yield* measureSpeed(subjects, options)
  const measured = figures.map((one, index): MeasuredDecode => {
    const secondsPerToken = 1 / one.decodeTokensPerSecond.median
    return {
      selection: { proposes: plans[index]!.selector.proposes, confirms: plans[index]!.confirms },
      secondsPerToken,
      // A share: the profile is of all passes, the time of the one in the middle.
      overheadSeconds: secondsPerToken * idleShare(one.profile),
      activeShare: one.activeShare
    }
  })
  const depth = { cacheType: options.cacheType, cachePositions: options.promptTokens + options.decodeTokens / 2 }
  const calibration: Calibration = {
    speed: fitSpeed(dense.model, depth, measured[0]!, measured[1]),
    memoryBytesPerSecond: figures[0]!.bandwidthBytesPerSecond.median,
    activeShare: measured[1]?.activeShare,
    depth
  }
  return calibration
})
