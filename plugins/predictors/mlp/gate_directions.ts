// Where does training begin? At the best linear guess: the directions of the input in which the gates of a block differ most.
//
// Whether a neuron fires is the sign of g · x + b, g its row of the gate (of an ungated FFN: of up). Over the rows of a text these products, each
// divided by its own spread, have a covariance G C Gᵀ; its leading eigenvectors V make the two matrices: fc1 = Vᵀ G and fc2 = V (principal components;
// for language models SVDP, arXiv:2603.14110). Training from here takes a few passes where training from random matrices takes many and ends lower.
import {
  type MatrixProduct,
  type Model,
  orthonormalize,
  type Random,
  readTensor,
  type ThinMatrices,
  type TrainingData
} from "@powerinfer/core"

/** Passes of subspace iteration: what training starts from need not be the optimum. */
const iterations = 6
/** Directions of the input that hardly vary would make scores of nothing but noise. */
const spreadMin = 1e-6
/** Logits at which training begins are a neuron's score divided by the spread of what the guess leaves out, times this (a logistic curve beside a normal one), within a bound. */
const logitScale = 1.7
const logitMax = 20

/** The guess of a block, its directions in descending order: any number of the first ones is a guess too. */
export interface GateDirections {
  readonly rank: number
  /** f32[rank, hidden_width] */
  readonly fc1: Float32Array
  /** f32[rank, ffn_width]: a neuron's column times fc1 · x is its product with the gate, in units of its spread. */
  readonly loadings: Float32Array
  /** f32[ffn_width]: what to add, so that a neuron fires above 0. */
  readonly offsets: Float32Array
  /** f32[ffn_width, hidden_width]: the gate, in these units. */
  readonly gate: Float32Array
  /** f32[hidden_width, hidden_width], and the mean. */
  readonly covariance: Float32Array
  readonly mean: Float64Array
}

type Multiply = (product: MatrixProduct) => void
type Shape = Pick<Model, "shape">["shape"]

/** Finds the directions of a block on some of its rows. */
export const gateDirections = (
  model: Model,
  block: number,
  rows: TrainingData,
  rank: number,
  random: Random,
  multiply: Multiply
): GateDirections => {
  const { hiddenWidth, ffnWidth } = model.shape
  const { mean, covariance } = momentsOf(rows, hiddenWidth, multiply)
  const { gate, offsets } = scaledGate(model, block, mean, covariance, multiply)
  // f32[rank, …]: rows are directions.
  let loadings = Float32Array.from({ length: rank * ffnWidth }, () => random.nextUniform() - 0.5)
  orthonormalize(loadings, rank, ffnWidth, multiply)
  const fc1 = new Float32Array(rank * hiddenWidth)
  const varied = new Float32Array(rank * hiddenWidth)
  const toInput = () =>
    multiply({ form: "ab", rows: rank, columns: hiddenWidth, depth: ffnWidth, a: loadings, b: gate, c: fc1 })
  for (let iteration = 0; iteration < iterations; iteration++) {
    toInput()
    multiply({ form: "ab", rows: rank, columns: hiddenWidth, depth: hiddenWidth, a: fc1, b: covariance, c: varied })
    const next = new Float32Array(rank * ffnWidth)
    multiply({ form: "abt", rows: rank, columns: ffnWidth, depth: hiddenWidth, a: varied, b: gate, c: next })
    orthonormalize(next, rank, ffnWidth, multiply)
    loadings = next
  }
  toInput()
  return { rank, fc1, loadings, offsets, gate, covariance, mean }
}

/** Mean and covariance of the inputs. */
const momentsOf = ({ hidden, rowCount }: TrainingData, width: number, multiply: Multiply) => {
  const mean = new Float64Array(width)
  for (let at = 0; at < rowCount * width; at++) mean[at % width]! += hidden[at]! / rowCount
  const covariance = new Float32Array(width * width)
  multiply({ form: "atb", rows: width, columns: width, depth: rowCount, a: hidden, b: hidden, c: covariance })
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      covariance[i * width + j] = covariance[i * width + j]! / rowCount - mean[i]! * mean[j]!
    }
  }
  return { mean, covariance }
}

/** The gate's rows, each divided by the spread of its products; and their means with the bias, alike divided. */
const scaledGate = (
  { gguf, blocks, shape }: Model,
  block: number,
  mean: Float64Array,
  covariance: Float32Array,
  multiply: Multiply
) => {
  const { hiddenWidth, ffnWidth } = shape
  const { weight, bias } = blocks[block]!.gate ?? blocks[block]!.up
  const gate = readTensor(gguf, weight)
  const biases = bias && readTensor(gguf, bias)
  const squares = quadraticForms(gate, covariance, shape, multiply)
  const offsets = new Float32Array(ffnWidth)
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    const spread = Math.max(spreadMin, Math.sqrt(squares[neuron]!))
    offsets[neuron] = (biases?.[neuron] ?? 0) / spread
    for (let i = neuron * hiddenWidth; i < (neuron + 1) * hiddenWidth; i++) gate[i]! /= spread
  }
  return { gate, offsets, mean }
}

/** f64[ffn_width]: r C rᵀ of every row r. */
const quadraticForms = (
  rows: Float32Array,
  covariance: Float32Array,
  { hiddenWidth, ffnWidth }: Shape,
  multiply: Multiply
): Float64Array => {
  const varied = new Float32Array(ffnWidth * hiddenWidth)
  const sizes = { rows: ffnWidth, columns: hiddenWidth, depth: hiddenWidth }
  multiply({ form: "ab", ...sizes, a: rows, b: covariance, c: varied })
  const forms = new Float64Array(ffnWidth)
  for (let at = 0; at < rows.length; at++) forms[Math.floor(at / hiddenWidth)]! += rows[at]! * varied[at]!
  return forms.map((form) => Math.max(0, form))
}

/** The matrices of the first `rank` directions, with scores that are logits; `steepness`: how many of them a spread of the gate makes, on average. */
export const startingMatrices = (
  directions: GateDirections,
  rank: number,
  shape: Shape,
  multiply: Multiply
): ThinMatrices & { readonly steepness: number } => {
  const { hiddenWidth, ffnWidth } = shape
  const { gate, covariance, mean, offsets } = directions
  const fc1 = directions.fc1.slice(0, rank * hiddenWidth)
  // What the guess leaves out of every row of the gate, and how much that varies.
  const left = gate.slice()
  const loadings = directions.loadings.map((value) => -value)
  multiply({ form: "atb", rows: ffnWidth, columns: hiddenWidth, depth: rank, a: loadings, b: fc1, c: left, adds: true })
  const leftSquares = quadraticForms(left, covariance, shape, multiply)
  const fc2 = new Float32Array(ffnWidth * rank)
  const bias = new Float32Array(ffnWidth)
  let steepness = 0
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    const scale = Math.min(logitMax, logitScale / Math.max(1e-3, Math.sqrt(leftSquares[neuron]!)))
    for (let k = 0; k < rank; k++) fc2[neuron * rank + k] = scale * directions.loadings[k * ffnWidth + neuron]!
    // The part of the mean that the guess leaves out does not vary: it belongs to the bias.
    let constant = offsets[neuron]!
    for (let i = 0; i < hiddenWidth; i++) constant += left[neuron * hiddenWidth + i]! * mean[i]!
    bias[neuron] = scale * constant
    steepness += scale / ffnWidth
  }
  return { fc1, fc2, bias, steepness }
}
