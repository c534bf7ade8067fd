// What does a block's training see? Its inputs, and for every neuron a code of one byte that says whether it fired and how much that counted.
import { type Model, readTensor, type TrainingContext, type TrainingData } from "@powerinfer/core"

/** Steps of a factor of 2 that codes tell apart. */
const codesPerOctave = 8
/** The code of a cost of 1. */
const codeOfOne = 128

/** Code of a neuron's part in the output, |activation| · ‖its column of down‖: within 5%, from 2⁻¹⁶ to 2¹⁶; 0 for none. */
const codeOf = (cost: number): number => {
  if (!(cost > 0)) return 0
  const code = codeOfOne + Math.round(codesPerOctave * Math.log2(cost))
  return Math.min(255, Math.max(1, code))
}

/** f64[256]: the cost that a code stands for. */
export const costOfCode = Float64Array.from({ length: 256 }, (_, code) =>
  code === 0 ? 0 : 2 ** ((code - codeOfOne) / codesPerOctave)
)

/** f32[ffn_width]: the length of each neuron's column of down, which its activation is multiplied by. */
export const downNorms = ({ gguf, blocks, shape }: Model, block: number): Float32Array => {
  const { weight, layout } = blocks[block]!.down
  const { hiddenWidth, ffnWidth } = shape
  const values = readTensor(gguf, weight)
  const squares = new Float64Array(ffnWidth)
  for (let i = 0; i < hiddenWidth; i++) {
    for (let neuron = 0; neuron < ffnWidth; neuron++) {
      const value = values[layout === "by_output" ? i * ffnWidth + neuron : neuron * hiddenWidth + i]!
      squares[neuron]! += value * value
    }
  }
  return Float32Array.from(squares, Math.sqrt)
}

/** Reads rows of a block, all or the first `rowCountMax`. */
export const gatherRows = (
  { model, rows, rowCount }: Pick<TrainingContext, "model" | "rows" | "rowCount">,
  block: number,
  rowCountMax = rowCount
): TrainingData => {
  const { hiddenWidth, ffnWidth } = model.shape
  const norms = downNorms(model, block)
  const wanted = Math.min(rowCount, rowCountMax)
  const hidden = new Float32Array(new ArrayBuffer(4 * wanted * hiddenWidth))
  const codes = new Uint8Array(new ArrayBuffer(wanted * ffnWidth))
  let done = 0
  for (const chunk of rows(block)) {
    const count = Math.min(chunk.rowCount, wanted - done)
    hidden.set(chunk.hidden.subarray(0, count * hiddenWidth), done * hiddenWidth)
    const start = done * ffnWidth
    for (let at = 0; at < count * ffnWidth; at++) {
      const activation = chunk.activations[at]!
      if (activation !== 0) codes[start + at] = codeOf(Math.abs(activation) * norms[at % ffnWidth]!)
    }
    done += count
    if (done === wanted) break
  }
  return rowsBetween({ rowCount: done, hidden, codes }, model, 0, done)
}

/** Rows begin … end, as views. */
export const rowsBetween = (
  { hidden, codes }: TrainingData,
  { shape: { hiddenWidth, ffnWidth } }: Pick<Model, "shape">,
  begin: number,
  end: number
): TrainingData => ({
  rowCount: end - begin,
  hidden: hidden.subarray(begin * hiddenWidth, end * hiddenWidth),
  codes: codes.subarray(begin * ffnWidth, end * ffnWidth)
})
