// How many bytes is a neuron, and how many of them does a token read?
import { modelBytes } from "../model/memory.ts"
import type { Linear, Model } from "../model/model.ts"

/** Bytes of one neuron of a block; every neuron of a block has as many. */
export interface NeuronBytes {
  /** What a device must hold, a whole number: its rows of gate and up with their biases, its part of `down`. */
  readonly held: number
  /** What decides whether it fires: its row of the gate; of an ungated FFN, of up. */
  readonly gate: number
  /** What is read beyond that if it fires. */
  readonly rest: number
}

/** By block. */
export const neuronBytes = ({ blocks, shape: { ffnWidth } }: Model): ReadonlyArray<NeuronBytes> =>
  blocks.map(({ gate, up, down }) => {
    const deciding = linearBytes(gate ?? up)
    const all = linearBytes(gate) + linearBytes(up) + down.weight.sizeBytes
    return { held: Math.ceil(all / ffnWidth), gate: deciding / ffnWidth, rest: (all - deciding) / ffnWidth }
  })

const linearBytes = (linear: Linear | undefined): number =>
  linear === undefined ? 0 : linear.weight.sizeBytes + (linear.bias?.sizeBytes ?? 0)

/** Bytes that belong to no neuron: embeddings, attention, norms, logits, biases of `down`. The home holds them. */
export const homeWeightBytes = (model: Model): number =>
  modelBytes(model) -
  model.blocks.reduce((sum, { gate, up, down }) => sum + linearBytes(gate) + linearBytes(up) + down.weight.sizeBytes, 0)
