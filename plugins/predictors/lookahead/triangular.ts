// How are equations with a positive definite matrix solved? Through its Cholesky factor, S = L Lᵀ.

/** L, lower, f64[width, width]; what lies above the diagonal is 0. A pivot that rounding made negative counts as tiny. */
export const choleskyFactor = (matrix: Float64Array, width: number): Float64Array => {
  const factor = new Float64Array(width * width)
  for (let row = 0; row < width; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = matrix[row * width + column]!
      for (let k = 0; k < column; k++) sum -= factor[row * width + k]! * factor[column * width + k]!
      factor[row * width + column] =
        row === column ? Math.sqrt(Math.max(sum, Number.EPSILON)) : sum / factor[column * width + column]!
    }
  }
  return factor
}

/** L⁻¹ v, in place. */
export const solveLower = (factor: Float64Array, vector: Float64Array): void => {
  const width = vector.length
  for (let row = 0; row < width; row++) {
    let sum = vector[row]!
    for (let k = 0; k < row; k++) sum -= factor[row * width + k]! * vector[k]!
    vector[row] = sum / factor[row * width + row]!
  }
}

/** L⁻ᵀ v. */
export const solveTransposed = (factor: Float64Array, vector: Float32Array): Float64Array => {
  const width = vector.length
  const solved = Float64Array.from(vector)
  for (let row = width - 1; row >= 0; row--) {
    solved[row]! /= factor[row * width + row]!
    for (let k = 0; k < row; k++) solved[k]! -= factor[row * width + k]! * solved[row]!
  }
  return solved
}
