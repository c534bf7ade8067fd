// In what form do the matrices of a block lie in a file, and what are they worth in it?
import {
  dequantize,
  type LowRankBlock,
  quantize,
  rowBytes,
  type StoredMatrix,
  tensorTypes,
  type ThinMatrices,
  wholeBlocks
} from "@powerinfer/core"

/** Types that training can write. */
export type StoredType = "Q8_0" | "Q4_0" | "F16"

/** Widths, as both matrices have them. */
export interface Widths {
  readonly hiddenWidth: number
  readonly ffnWidth: number
  readonly rank: number
}

/** Rows of the model's own width cannot be filled up: where they are no whole blocks, halves it is. */
const typeOfFc1 = (type: StoredType, hiddenWidth: number): StoredType =>
  hiddenWidth % tensorTypes[type].blockSize === 0 ? type : "F16"

/** Bytes of a block's matrices and thresholds: in the file, and of every selection. */
export const blockBytes = (type: StoredType, { hiddenWidth, ffnWidth, rank }: Widths): number =>
  rank * rowBytes(typeOfFc1(type, hiddenWidth), hiddenWidth) + ffnWidth * (rowBytes(type, wholeBlocks(type, rank)) + 4)

/** Rounds the matrices to what the type can hold. The bias is left out: thresholds take it up. */
export const storeMatrices = (
  type: StoredType,
  { hiddenWidth, ffnWidth, rank }: Widths,
  { fc1, fc2 }: ThinMatrices
): Pick<LowRankBlock, "down" | "up"> => {
  const down = typeOfFc1(type, hiddenWidth)
  const width = wholeBlocks(type, rank)
  const padded = new Float32Array(ffnWidth * width)
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    padded.set(fc2.subarray(neuron * rank, (neuron + 1) * rank), neuron * width)
  }
  return { down: { type: down, bytes: quantize(down, fc1) }, up: { type, bytes: quantize(type, padded) } }
}

/** What the stored matrices stand for. */
export const storedValues = (
  { hiddenWidth, ffnWidth, rank }: Widths,
  { down, up }: Pick<LowRankBlock, "down" | "up">
): Pick<ThinMatrices, "fc1" | "fc2"> => {
  const width = wholeBlocks(up.type, rank)
  const padded = valuesOf(up, ffnWidth * width)
  const fc2 = new Float32Array(ffnWidth * rank)
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    fc2.set(padded.subarray(neuron * width, neuron * width + rank), neuron * rank)
  }
  return { fc1: valuesOf(down, rank * hiddenWidth), fc2 }
}

const valuesOf = ({ type, bytes }: StoredMatrix, count: number): Float32Array => {
  const values = new Float32Array(count)
  dequantize(type, bytes, values)
  return values
}
