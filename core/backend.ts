// What a device can do for the engine.
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Batch, CacheId, HiddenRows } from "./batch.ts"
import type { Model } from "./model/model.ts"
import type { NeuronSet } from "./neuron_set.ts"
import type { NeuronShare } from "./placement.ts"
import type { FfnThresholds, NativeSelector } from "./predictor.ts"

/** The device cannot run this model or these options: an unsupported instruction set, a failed repack, a native call that was refused. */
export class BackendFailure extends Schema.TaggedError<BackendFailure>()("BackendFailure", {
  backend: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot use the backend ${this.backend}: ${this.reason}`
  }
}

/** Weights, KV cache or workspace do not fit. */
export class NotEnoughMemory extends Schema.TaggedError<NotEnoughMemory>()("NotEnoughMemory", {
  purpose: Schema.String,
  /** As far as they are known. */
  neededBytes: Schema.optionalKey(Schema.Number),
  availableBytes: Schema.optionalKey(Schema.Number),
  /** What the caller can do, where it is not what helps everywhere. */
  remedy: Schema.optionalKey(Schema.String),
  /** Instead of numbers and remedy: the words of a device that counts for itself. */
  reason: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    const gib = (bytes = 0) => `${(bytes / 2 ** 30).toFixed(2)} GiB`
    const counted = `it needs ${gib(this.neededBytes)}, ${gib(this.availableBytes)} are available; ${this.remedy ?? "lower --ctx or choose a smaller model"}`
    return `Cannot allocate ${this.purpose}: ${this.reason ?? counted}`
  }
}

/** What keys and values are kept as. `q8_0`: blocks of 32 along a head with one scale each; only for heads of whole blocks. */
export const cacheTypes = ["f16", "f32", "q8_0"] as const
export type CacheType = (typeof cacheTypes)[number]

/** Work of one device on one block: opaque to the engine, handed back to the home device's `mergeFfn`. */
export interface FfnPartial {
  /** f32[row_count, hidden_width] in host memory once the work is done; undefined if it stayed on the device that is to merge it. */
  wait(): Float32Array | undefined
}

/** What a device has read and computed since it was opened. */
export interface DeviceCounters {
  readonly rowCount: number
  /** Weight bytes read, a row used by several rows of a batch counted once. */
  readonly weightBytes: number
  readonly ffnBytes: number
  readonly cacheBytes: number
  /** Σ over blocks and rows of ffn_width, and how many of these neurons had their `down` row used. */
  readonly neuronCount: number
  readonly neuronComputedCount: number
}

/** Batches of one row decode, batches of more prefill. */
export const phases = ["prefill", "decode"] as const
export type Phase = (typeof phases)[number]

/** One stage of a device's work: its time, and the weight and cache bytes read in it. */
export interface StageTotals {
  readonly stage: string
  readonly callCount: number
  readonly seconds: number
  readonly bytes: number
}

/** A device's own account of its time. */
export interface DeviceProfile {
  /** Sets every stage to zero and measures from now on. */
  start(): void
  /** In the order of a forward pass. */
  read(phase: Phase): ReadonlyArray<StageTotals>
}

/**
 * An opened backend holding one model: plain and synchronous, no allocation once open. One batch at a time, in this order:
 * `embed`, then for every block `attend`, `startFfn`, `mergeFfn`, then `logits`.
 */
export interface Device {
  readonly name: string
  /**
   * Room for `positionCount` positions of every block; freed with the scope.
   *
   * - fails  with `NotEnoughMemory`; with `BackendFailure` where heads are not whole blocks of `type` (q8_0: 32)
   */
  readonly openCache: (
    positionCount: number,
    type: CacheType
  ) => Effect.Effect<CacheId, NotEnoughMemory | BackendFailure, Scope.Scope>
  embed(batch: Batch): void
  /** Norm, attention, residual. Returns the normalized FFN input of the batch. */
  attend(batch: Batch, block: number): HiddenRows
  /** f(gate · x) ⊙ g(up · x) of every neuron: f32[row_count, ffn_width]. */
  activations(block: number, hidden: HiddenRows, into: Float32Array): void
  /**
   * Starts the FFN part that `active` names, without down's bias; may return before it is done.
   *
   * - `active`    undefined: all neurons of all rows
   * - `confirms`  read up (gated) and down only of neurons whose activation is not zero, or is above the block's thresholds
   */
  startFfn(block: number, hidden: HiddenRows, active: NeuronSet | undefined, confirms: boolean): FfnPartial
  /**
   * `startFfn` with the candidates that a native predictor names, in one native call: for devices that hold whole blocks and are native too.
   * Absent: the engine calls the predictor itself.
   */
  readonly startSelectedFfn?: (
    block: number,
    hidden: HiddenRows,
    selector: NativeSelector,
    confirms: boolean
  ) => FfnPartial
  /**
   * Of devices that run predictors where the hidden vector is: makes one ready, before the first batch. False: it cannot run here, and the engine
   * calls the predictor itself. Absent: any can.
   */
  readonly prepareSelector?: (selector: NativeSelector) => Effect.Effect<boolean, NotEnoughMemory | BackendFailure>
  /**
   * Adds what the predictor of the last `startSelectedFfn` named to `active`, the neurons of other devices too, while that FFN goes on. A device that
   * has this selects for blocks that it holds only a part of.
   */
  readonly readSelected?: (active: NeuronSet) => void
  /** `startFfn` returns before the work is done: the engine starts such devices first, and the others work meanwhile. */
  readonly asynchronous?: boolean
  /** Asked for every neuron, it computes those of its share. */
  readonly keepsToShare?: boolean
  /**
   * From now on, what confirming drops in this block; called before the first batch. Absent: the device drops zeros only, and no plan has it that needs more.
   */
  readonly useThresholds?: (block: number, thresholds: FfnThresholds) => void
  /** Home only: adds every partial and down's bias to the residual. */
  mergeFfn(block: number, partials: ReadonlyArray<FfnPartial>): void
  /** Home only: f32[logit_count, vocabulary_size] of the rows that want them; valid until the next batch. */
  logits(batch: Batch): Float32Array
  counters(): DeviceCounters
  /** For devices that can say where their time goes. */
  readonly profile?: DeviceProfile
}

/** What a backend is opened with. */
export interface DeviceContext {
  readonly model: Model
  /** The device's share of every block, and whether it is the home. */
  readonly shares: ReadonlyArray<NeuronShare>
  readonly home: boolean
  /** Most rows of one batch. */
  readonly rowCountMax: number
  /** Some batches will name neurons or ask for confirmation: have `down` by neuron ready. */
  readonly sparse: boolean
  /** `some`: batches name their candidates, so that single rows of the FFN's first matrix are read; `every`: it is read whole. */
  readonly candidates: "every" | "some"
  /** One line for people: repacking, its bytes, its place. */
  readonly announce: (line: string) => void
}
