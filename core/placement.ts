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

/** What a policy may know of a device before the model is loaded. */
export interface DeviceFacts {
  readonly name: string
  readonly memoryBytes: number
}

/**
 * Who holds what. Every neuron of every block lives on exactly one device; `checkPlan` refuses anything else.
 *
 * - `home`    index of the device that runs norms, attention, KV cache and logits
 * - `shares`  [block][device]: "all", "none", or a bitset u32[ceil(ffn_width / 32)] of the neurons on that device
 */
export interface PlacementPlan {
  readonly home: number
  readonly shares: ReadonlyArray<ReadonlyArray<NeuronShare>>
}

export type NeuronShare = "all" | "none" | Uint32Array

/** What a policy places. */
export interface PlacementContext {
  readonly model: Model
  /** A plan names them by their index. Where there are none, a policy refuses. */
  readonly devices: ReadonlyArray<DeviceFacts>
}
