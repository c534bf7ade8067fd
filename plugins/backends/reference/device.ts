// A model on the reference backend, stage by stage: embed, attend, FFN, merge, logits.
import {
  BackendFailure,
  type Batch,
  type CacheId,
  type Device,
  type DeviceContext,
  type DeviceCounters,
  type FfnPartial,
  type FfnThresholds,
  type HiddenRows,
  type ModelShape,
  type NeuronSet,
  type NeuronShare,
  type NotEnoughMemory
} from "@powerinfer/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { attemptAllocation } from "./allocate.ts"
import { FfnStage } from "./ffn.ts"
import { HomeStage } from "./home.ts"
import { allocateCache } from "./kv_cache.ts"
import { type FfnWeights, loadFfns, loadHome } from "./weights.ts"

/** Reads and dequantizes what this device needs. */
export const openDevice = (
  context: DeviceContext
): Effect.Effect<Device, BackendFailure | NotEnoughMemory, Scope.Scope> => {
  const { model, shares, home, rowCountMax } = context
  const { hiddenWidth, ffnWidth, gated } = model.shape
  const blockCount = home ? shares.length : shares.filter((share) => share !== "none").length
  const ffnBytes = 4 * blockCount * (gated ? 3 : 2) * hiddenWidth * ffnWidth
  return attemptAllocation("the weights as float32", ffnBytes, () => {
    const stage = home ? new HomeStage(model, loadHome(model), rowCountMax) : undefined
    return new ReferenceDevice(context, loadFfns(model, shares, home), stage)
  })
}

class ReferenceDevice implements Device {
  readonly name = "reference"
  readonly #shape: ModelShape
  readonly #shares: ReadonlyArray<NeuronShare>
  readonly #ffns: ReadonlyArray<FfnWeights | undefined>
  readonly #home: HomeStage | undefined
  readonly #ffn: FfnStage
  readonly #partial: Float32Array
  /** [block] */
  readonly #thresholds: Array<FfnThresholds>
  #ffnBytes = 0
  #neuronCount = 0
  #neuronComputedCount = 0

  constructor(
    { model, shares, rowCountMax }: DeviceContext,
    ffns: ReadonlyArray<FfnWeights | undefined>,
    home: HomeStage | undefined
  ) {
    this.#shape = model.shape
    this.#shares = shares
    this.#ffns = ffns
    this.#home = home
    this.#ffn = new FfnStage(model.shape)
    this.#thresholds = shares.map(() => ({}))
    this.#partial = new Float32Array(rowCountMax * model.shape.hiddenWidth)
  }

  readonly openCache: Device["openCache"] = (positionCount, type) => {
    const { blockCount, kvHeadCount, headWidth, positions, contextLength } = this.#shape
    const home = this.#requireHome("open a cache")
    if (positions.kind === "learned" && positionCount > contextLength) {
      const reason = `the model has learned ${contextLength} positions, ${positionCount} were asked for`
      return Effect.fail(new BackendFailure({ backend: this.name, reason }))
    }
    if (type === "q8_0" && headWidth % 32 !== 0) {
      const reason = `heads of ${headWidth} are not whole Q8_0 blocks of 32; use an F16 cache`
      return Effect.fail(new BackendFailure({ backend: this.name, reason }))
    }
    const kvWidth = kvHeadCount * headWidth
    // Elements are stored as float32, already rounded to what the type can hold.
    const open = attemptAllocation("the KV cache", 8 * blockCount * positionCount * kvWidth, () =>
      home.addCache(allocateCache(blockCount, positionCount, kvWidth, type))
    )
    return Effect.acquireRelease(open, (cache: CacheId) => Effect.sync(() => home.removeCache(cache)))
  }

  embed(batch: Batch): void {
    this.#requireHome("embed").embed(batch)
  }

  attend(batch: Batch, block: number): HiddenRows {
    return this.#requireHome("attend").attend(batch, block)
  }

  activations(block: number, hidden: HiddenRows, into: Float32Array): void {
    this.#ffn.activations(this.#weightsOf(block), hidden, into)
  }

  startFfn(block: number, hidden: HiddenRows, active: NeuronSet | undefined, confirms: boolean): FfnPartial {
    this.#requireOwnership(block, active)
    const size = hidden.rowCount * this.#shape.hiddenWidth
    const partial = this.#partial.subarray(0, size)
    const work = this.#ffn.run(this.#weightsOf(block), hidden, active, confirms, this.#thresholds[block]!, partial)
    this.#ffnBytes += work.bytes
    this.#neuronCount += hidden.rowCount * this.#shape.ffnWidth
    this.#neuronComputedCount += work.neuronComputedCount
    return { wait: () => partial }
  }

  useThresholds(block: number, thresholds: FfnThresholds): void {
    this.#thresholds[block] = thresholds
  }

  mergeFfn(block: number, partials: ReadonlyArray<FfnPartial>): void {
    this.#requireHome("merge").merge(block, partials)
  }

  logits(batch: Batch): Float32Array {
    return this.#requireHome("compute logits").logits(batch)
  }

  counters(): DeviceCounters {
    const home = this.#home?.counters ?? { rowCount: 0, weightBytes: 0, cacheBytes: 0 }
    return {
      rowCount: home.rowCount,
      weightBytes: home.weightBytes + this.#ffnBytes,
      ffnBytes: this.#ffnBytes,
      cacheBytes: home.cacheBytes,
      neuronCount: this.#neuronCount,
      neuronComputedCount: this.#neuronComputedCount
    }
  }

  #weightsOf(block: number): FfnWeights {
    const weights = this.#ffns[block]
    if (!weights) throw new Error(`No neuron of block ${block} lives on this device`)
    return weights
  }

  #requireHome(action: string): HomeStage {
    if (!this.#home) throw new Error(`Cannot ${action}: this device is not the home`)
    return this.#home
  }

  /** An oracle must not compute what a faster device could not. */
  #requireOwnership(block: number, active: NeuronSet | undefined): void {
    const share = this.#shares[block]!
    if (share === "all") return
    const isForeign = (word: number, i: number) =>
      (word & (share === "none" ? -1 : ~share[i % active!.wordsPerRow]!)) !== 0
    if (!active || active.words.subarray(0, active.rowCount * active.wordsPerRow).some(isForeign)) {
      throw new Error(`Block ${block} was asked for neurons that do not live on this device`)
    }
  }
}
