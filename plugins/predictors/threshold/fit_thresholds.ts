// From which magnitude on does a neuron count, so that a given share of them does not?
import { activate, type Model, readTensor, type TrainingContext, type TrainingRows } from "@powerinfer/core"
import { neuronNorms } from "./neuron_norms.ts"

export const methods = ["cats", "wina", "teal"] as const

/** One block's thresholds. */
export interface FittedThresholds {
  /** What they are compared with: |f(gate · x)|, or |f(gate · x) ⊙ g(up · x)|. */
  readonly kind: "gate" | "activation"
  /** f32[ffn_width] */
  readonly thresholds: Float32Array<ArrayBuffer>
}

/** Rows that are looked at, evenly spread over what there is: the papers' samples are of this size, and quantiles need no more. */
const sampleRowsMax = 512

/**
 * Finds thresholds that drop a share of the neurons of a sample.
 *
 * - cats  |f(gate · x)|, one threshold a block. arXiv 2404.08763
 * - wina  |f(gate · x)| · ‖up[n]‖ · ‖down[n]‖: what a neuron adds to the output, as far as its gate tells. After arXiv 2505.19427
 * - teal  |activation|, one threshold a block: spares down's rows only. arXiv 2408.14690
 *
 * Of an ungated FFN the activation is all there is: cats and teal are the same, and wina weights it with ‖down[n]‖.
 *
 * - cost  the gate of the sampled rows: sample × hidden_width × ffn_width multiplications a block, and as many for their magnitudes in memory
 */
export const fitThresholds = (
  method: (typeof methods)[number],
  sparsity: number,
  context: TrainingContext
): ReadonlyArray<FittedThresholds> => {
  const { model, announce } = context
  const { blockCount, gated } = model.shape
  const kind = gated && method !== "teal" ? "gate" : "activation"
  return Array.from({ length: blockCount }, (_, block) => {
    const { magnitudes, scales } = takeSample(block, kind, method === "wina", context)
    // Typed arrays sort as numbers.
    const ascending = magnitudes.slice().sort()
    const dropCount = Math.floor(sparsity * ascending.length)
    const limit = dropCount === 0 ? 0 : ascending[dropCount - 1]!
    const thresholds = Float32Array.from(scales, (scale) => (scale > 0 ? limit / scale : Number.POSITIVE_INFINITY))
    announce(`block ${block}: drops ${(100 * sparsity).toFixed(1)}% at ${limit.toPrecision(3)}`)
    return { kind, thresholds }
  })
}

/** What a neuron's magnitude is on the sampled rows. */
interface Sample {
  /** f32[row_count, ffn_width], scaled. */
  readonly magnitudes: Float32Array
  /** f32[ffn_width] */
  readonly scales: Float32Array
}

const takeSample = (
  block: number,
  kind: "gate" | "activation",
  weighted: boolean,
  { model, rows, rowCount }: Pick<TrainingContext, "model" | "rows" | "rowCount">
): Sample => {
  const { ffnWidth } = model.shape
  const scales = new Float32Array(ffnWidth).fill(1)
  if (weighted) {
    const { down, up } = neuronNorms(model, block)
    for (let n = 0; n < ffnWidth; n++) scales[n] = down[n]! * (kind === "gate" ? up[n]! : 1)
  }
  const step = Math.ceil(rowCount / sampleRowsMax)
  const taken = Math.ceil(rowCount / step)
  const magnitudes = new Float32Array(taken * ffnWidth)
  const gateOf = kind === "gate" ? openGate(model, block) : undefined
  let row = 0
  let into = 0
  for (const chunk of rows(block)) {
    for (let at = 0; at < chunk.rowCount; at++, row++) {
      if (row % step !== 0) continue
      for (let neuron = 0; neuron < ffnWidth; neuron++, into++) {
        const activation = chunk.activations[at * ffnWidth + neuron]!
        const seen = gateOf === undefined ? activation : gateOf(chunk, at, neuron)
        magnitudes[into] = Math.abs(seen) * scales[neuron]!
      }
    }
  }
  return { magnitudes: magnitudes.subarray(0, into), scales }
}

/** f(gate · x) of a row and neuron. */
const openGate = ({ gguf, shape, blocks }: Model, block: number) => {
  const { hiddenWidth, gateActivation } = shape
  const gate = blocks[block]!.gate!
  const weights = readTensor(gguf, gate.weight)
  const bias = gate.bias && readTensor(gguf, gate.bias)
  return ({ hidden }: TrainingRows, row: number, neuron: number): number => {
    let sum = bias === undefined ? 0 : bias[neuron]!
    for (let i = 0; i < hiddenWidth; i++) sum += weights[neuron * hiddenWidth + i]! * hidden[row * hiddenWidth + i]!
    return activate(gateActivation, sum)
  }
}
