// From which magnitude on does a neuron count, so that a given share of them does not?
import { activate, type Model, readTensor, type TrainingContext, type TrainingRows } from "@powerinfer/core"
import { neuronNorms } from "./neuron_norms.ts"

export const methods = ["cats", "wina", "teal"] as const
export const allocations = ["uniform", "greedy"] as const

/** One block's thresholds. */
export interface FittedThresholds {
  /** What they are compared with: |f(gate · x)|, or |f(gate · x) ⊙ g(up · x)|. */
  readonly kind: "gate" | "activation"
  /** f32[ffn_width] */
  readonly thresholds: Float32Array<ArrayBuffer>
  /** Share of the neurons that they drop, on the rows they were found on. */
  readonly sparsity: number
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
  allocation: (typeof allocations)[number],
  context: TrainingContext
): ReadonlyArray<FittedThresholds> => {
  const { model, announce } = context
  const { blockCount, gated } = model.shape
  const kind = gated && method !== "teal" ? "gate" : "activation"
  const findSparsities = () => {
    if (allocation === "uniform") return Array.from({ length: blockCount }, () => sparsity)
    const losses = Array.from({ length: blockCount }, (_, block) => lossCurve(sampleOf(block)))
    return allocateGreedily(losses, sparsity)
  }
  const sampleOf = (block: number) => takeSample(block, kind, method === "wina", context)
  const sparsities = findSparsities()
  return sparsities.map((share, block) => {
    const { magnitudes, scales } = sampleOf(block)
    // Typed arrays sort as numbers.
    const ascending = magnitudes.slice().sort()
    const dropCount = Math.floor(share * ascending.length)
    const limit = dropCount === 0 ? 0 : ascending[dropCount - 1]!
    const thresholds = Float32Array.from(scales, (scale) => (scale > 0 ? limit / scale : Number.MAX_VALUE))
    announce(`block ${block}: drops ${(100 * share).toFixed(1)}% at ${limit.toPrecision(3)}`)
    return { kind, thresholds, sparsity: share }
  })
}

/** What a neuron's magnitude is on the sampled rows, and what is lost with it. */
interface Sample {
  /** f32[row_count, ffn_width], scaled. */
  readonly magnitudes: Float32Array
  /** (activation · ‖down[n]‖)²: how much of the output goes with a neuron, if the rows of down were orthogonal. f32[row_count, ffn_width] */
  readonly losses: Float32Array
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
  const { down, up } = neuronNorms(model, block)
  const scales = new Float32Array(ffnWidth).fill(1)
  if (weighted) for (let n = 0; n < ffnWidth; n++) scales[n] = down[n]! * (kind === "gate" ? up[n]! : 1)
  const step = Math.ceil(rowCount / sampleRowsMax)
  const taken = Math.ceil(rowCount / step)
  const magnitudes = new Float32Array(taken * ffnWidth)
  const losses = new Float32Array(taken * ffnWidth)
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
        losses[into] = (activation * down[neuron]!) ** 2
      }
    }
  }
  return { magnitudes: magnitudes.subarray(0, into), losses: losses.subarray(0, into), scales }
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

/** Steps of sparsity in which blocks are compared: 5%. */
const stepCount = 20

/** The share of the output that is lost when 0, 1, … of `stepCount` parts of the neurons are dropped, smallest magnitudes first. */
const lossCurve = ({ magnitudes, losses }: Sample): Float64Array => {
  const ascending = Uint32Array.from(magnitudes, (_, at) => at).sort((a, b) => magnitudes[a]! - magnitudes[b]!)
  const curve = new Float64Array(stepCount)
  let sum = 0
  let next = 1
  for (let at = 0; at < ascending.length; at++) {
    sum += losses[ascending[at]!]!
    if (at + 1 !== Math.floor((next * ascending.length) / stepCount)) continue
    if (next < stepCount) curve[next] = sum
    next++
  }
  return curve.map((loss) => (sum > 0 ? loss / sum : 0))
}

/**
 * A sparsity for each block, whose mean is the one asked for: step by step, whichever block then loses least drops more.
 *
 * - source  the greedy allocation of TEAL (arXiv 2408.14690), which is between the matrices of a block; here it is between blocks
 */
export const allocateGreedily = (curves: ReadonlyArray<Float64Array>, sparsity: number): ReadonlyArray<number> => {
  const steps = curves.map(() => 0)
  for (let left = Math.round(sparsity * stepCount * curves.length); left > 0; left--) {
    let best = -1
    for (const [block, curve] of curves.entries()) {
      const loss = curve[steps[block]! + 1]
      if (loss !== undefined && (best < 0 || loss < curves[best]![steps[best]! + 1]!)) best = block
    }
    // Every block is as sparse as a block may be.
    if (best < 0) break
    steps[best]!++
  }
  return steps.map((step) => step / stepCount)
}
