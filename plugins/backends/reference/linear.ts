// out = W · x + b, one dot product a row of W.

/** A dequantized matrix with the bias that is added after it. */
export interface LinearWeights {
  /** f32[rows, width]. */
  readonly values: Float32Array
  readonly width: number
  readonly rows: number
  readonly bias: Float32Array | undefined
  /** What the file's form of the matrix takes, for counters. */
  readonly sizeBytes: number
}

/** W[row] · x + b[row], summed in f64. `x` starts at `at`. */
export const dotRow = ({ values, width, bias }: LinearWeights, row: number, x: Float32Array, at: number): number => {
  let sum = 0
  const start = row * width
  for (let i = 0; i < width; i++) sum += values[start + i]! * x[at + i]!
  return sum + (bias ? bias[row]! : 0)
}

/** All rows: writes f32[rows] to `out` at `outAt`. */
export const applyLinear = (
  weights: LinearWeights,
  x: Float32Array,
  at: number,
  out: Float32Array,
  outAt: number
): void => {
  for (let row = 0; row < weights.rows; row++) out[outAt + row] = dotRow(weights, row, x, at)
}
