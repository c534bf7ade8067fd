// How long are the rows of up and down that belong to each neuron?
import { type Model, readTensor } from "@powerinfer/core"

/** Euclidean norms, f32[ffn_width] each. */
export interface NeuronNorms {
  readonly up: Float32Array
  readonly down: Float32Array
}

export const neuronNorms = ({ gguf, shape, blocks }: Model, block: number): NeuronNorms => {
  const { hiddenWidth, ffnWidth } = shape
  const { up, down } = blocks[block]!
  const rows = { step: hiddenWidth, stride: 1 }
  const columns = { step: 1, stride: ffnWidth }
  const norms = (values: Float32Array, { step, stride }: typeof rows) =>
    Float32Array.from({ length: ffnWidth }, (_, neuron) => {
      let sum = 0
      for (let i = 0; i < hiddenWidth; i++) sum += values[neuron * step + i * stride]! ** 2
      return Math.sqrt(sum)
    })
  return {
    up: norms(readTensor(gguf, up.weight), rows),
    down: norms(readTensor(gguf, down.weight), down.layout === "by_neuron" ? rows : columns)
  }
}
