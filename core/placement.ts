// Which device holds which neurons.
import { Schema } from "effect"
import type { Model } from "./model/model.ts"

/** The policy found no plan for these devices. */
export class PlacementImpossible extends Schema.TaggedError<PlacementImpossible>()("PlacementImpossible", {
  policy: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot place the model with ${this.policy}: ${this.reason}`
  }
}

/**
 * What a policy may know of a device before the model is loaded: plain data. Speeds are absent where nobody has measured them: backends do not when
 * an engine starts, `powerinfer place` and device files do.
 */
export interface DeviceFacts {
  readonly name: string
  readonly memoryBytes: number
  /** Of matrices that are read whole, by all of its threads. */
  readonly bandwidthBytesPerSecond?: number
  /** What it takes beyond the bytes to read the rows of one neuron alone, not with its block's. Absent: nothing. */
  readonly neuronOverheadSeconds?: number
  /** What a block takes longer where this device, which is not the home, holds neurons of it: hidden vector there, partial sum back. Absent: nothing. */
  readonly handOffSeconds?: number
  /** What a token takes beyond reading where this device is the home: norms, small kernels, the engine. Absent: nothing. */
  readonly tokenOverheadSeconds?: number
}

/**
 * Who holds what. Every neuron of every block lives on exactly one device; `checkPlan` refuses anything else.
 *
 * - `home`    index of the device that runs norms, attention, KV cache and logits
 * - `shares`  [block][device]: "all", "none", or a bitset u32[ceil(ffn_width / 32)] of the neurons on that device
 * - `notes`   lines for people: a solver that ran out of time, say
 */
export interface PlacementPlan {
  readonly home: number
  readonly shares: ReadonlyArray<ReadonlyArray<NeuronShare>>
  readonly notes?: ReadonlyArray<string>
}

export type NeuronShare = "all" | "none" | Uint32Array

/** What takes memory of devices besides weights. */
export interface ReservedBytes {
  /** On the home: the KV caches that will be open at a time. */
  readonly cacheBytes: number
  /** On the home: the weights of the predictor. */
  readonly predictorBytes: number
  /** On every device: intermediate results of a batch. */
  readonly workspaceBytes: number
}

/** What a policy places. */
export interface PlacementContext {
  readonly model: Model
  /** A plan names them by their index. Where there are none, a policy refuses. */
  readonly devices: ReadonlyArray<DeviceFacts>
  /** Memory that neurons cannot have; absent: none. */
  readonly reservedBytes?: ReservedBytes
}
