// Which device holds which neurons.
import * as Schema from "effect/Schema"
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
  /** Where it was asked about a workload. Absent: as the file's sizes and the engine's estimate of a workspace say. */
  readonly modelMemory?: ModelMemory
}

/** Of devices that say so. */
export interface MemoryAvailable {
  /** Free now. */
  readonly memoryAvailableBytes: number
}

/** What a device is to do, as far as it decides how much of its memory that takes. */
export interface Workload {
  readonly model: Model
  /** Most rows of one batch. */
  readonly rowCountMax: number
  /** Positions of the longest session; 0: there are none. */
  readonly contextLength: number
  /** A predictor names neurons, which takes scores of all of them. */
  readonly selects: boolean
}

/** What a model takes of a device's memory beside KV caches and a predictor's weights, where the device knows better than the file's sizes tell. */
export interface ModelMemory {
  /** Of a home: whatever belongs to no single neuron, and its workspace. */
  readonly homeBytes: number
  /** Of another device that holds neurons: what holding any takes, and its workspace. */
  readonly shareBytes: number
  /** Bytes of neurons here for each byte in the file. */
  readonly neuronScale: number
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
