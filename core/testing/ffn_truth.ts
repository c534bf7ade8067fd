// Which neurons of a model really fire? The FFN's first half as its formula, over whatever the file holds.
import type { HiddenRows } from "../batch.ts"
import { readTensor } from "../gguf/read_tensor.ts"
import { activate } from "../model/activate.ts"
import type { Linear, Model } from "../model/model.ts"
import type { ActivationProbe } from "../predictor.ts"
import { randomFromSeed } from "../sampler/random.ts"

/** A matrix with one row per neuron, and what is added to each product. */
interface Rows {
  readonly weights: Float32Array
  readonly bias: Float32Array | undefined
}

/** What a predictor is judged by. Answers as a probe does, without a device. */
export interface FfnTruth extends ActivationProbe {
  /** Random vectors, normalized as the block's FFN input is: f32[row_count, hidden_width]. The same seed gives the same. */
  hidden(block: number, rowCount: number, seed: number): HiddenRows
}

/**
 * The truth about a model's neurons. Tensors are read when a block is first asked for, and kept as f32; sums are made in f64.
 *
 * - cost  hidden_width × ffn_width multiplications for each row and matrix
 */
export const openFfnTruth = (model: Model): FfnTruth => {
  const { hiddenWidth, ffnWidth, gateActivation, upActivation, norm } = model.shape
  const rowsOf = ({ weight, bias }: Linear): Rows => ({
    weights: readTensor(model.gguf, weight),
    bias: bias && readTensor(model.gguf, bias)
  })
  const matrices = onceEach((block) => {
    const { gate, up } = model.blocks[block]!
    return { gate: gate && rowsOf(gate), up: rowsOf(up) }
  })
  const norms = onceEach((block) => rowsOf(model.blocks[block]!.ffnNorm))

  const product = ({ weights, bias }: Rows, neuron: number, values: Float32Array, start: number): number => {
    let sum = bias === undefined ? 0 : bias[neuron]!
    const row = neuron * hiddenWidth
    for (let i = 0; i < hiddenWidth; i++) sum += weights[row + i]! * values[start + i]!
    return sum
  }

  return {
    activations: (block, hidden, into) => {
      const { gate, up } = matrices(block)
      for (let row = 0; row < hidden.rowCount; row++) {
        const start = row * hiddenWidth
        for (let neuron = 0; neuron < ffnWidth; neuron++) {
          const gated = gate === undefined ? 1 : activate(gateActivation, product(gate, neuron, hidden.values, start))
          into[row * ffnWidth + neuron] = gated * activate(upActivation, product(up, neuron, hidden.values, start))
        }
      }
    },
    hidden: (block, rowCount, seed) => {
      const random = randomFromSeed(seed)
      const { weights, bias } = norms(block)
      const values = Float32Array.from({ length: rowCount * hiddenWidth }, () => 2 * random.nextUniform() - 1)
      for (let row = 0; row < rowCount; row++) {
        const one = values.subarray(row * hiddenWidth, (row + 1) * hiddenWidth)
        const mean = norm.kind === "layer" ? average(one, (value) => value) : 0
        const spread = Math.sqrt(average(one, (value) => (value - mean) ** 2) + norm.epsilon)
        for (let i = 0; i < hiddenWidth; i++) {
          one[i] = ((one[i]! - mean) / spread) * weights[i]! + (bias === undefined ? 0 : bias[i]!)
        }
      }
      return { rowCount, width: hiddenWidth, values }
    }
  }
}

const average = (values: Float32Array, of: (value: number) => number): number =>
  values.reduce((sum, value) => sum + of(value), 0) / values.length

/** Makes what belongs to a block when it is first wanted. */
const onceEach = <A>(make: (block: number) => A): ((block: number) => A) => {
  const made = new Map<number, A>()
  return (block) => {
    const known = made.get(block)
    if (known !== undefined) return known
    const one = make(block)
    made.set(block, one)
    return one
  }
}
