// Which rank-r matrix is nearest to a gate on the inputs that it really gets?
//
// Errors count by what they do to outputs: E|(G - A) x|² = |(G - A) L|² with E x xᵀ = L Lᵀ. The best A is then the projection of G onto the leading left
// singular vectors of G L (Eckart and Young).

import type { Matrix, MatrixProduct } from "@powerinfer/core"

/** Multiplies large matrices: `openMatrixProduct`. */
export type Multiply = (product: MatrixProduct) => void

/** What is added to the diagonal of the second moments, as a share of its mean: directions that never occur must not be divided by nothing. */
const ridge = 1e-4

// Explicit buffers: native code writes them.
const newMatrix = (rows: number, width: number): Matrix => ({
  rows,
  width,
  values: new Float32Array(new ArrayBuffer(4 * rows * width))
})

/** a · b: f32[a.rows, b.width]. */
export const times = (multiply: Multiply, a: Matrix, b: Matrix): Matrix => {
  const c = newMatrix(a.rows, b.width)
  multiply({ form: "ab", rows: a.rows, columns: b.width, depth: a.width, a: a.values, b: b.values, c: c.values })
  return c
}

/** a · bᵀ: f32[a.rows, b.rows]. */
export const timesTransposed = (multiply: Multiply, a: Matrix, b: Matrix): Matrix => {
  const c = newMatrix(a.rows, b.rows)
  multiply({ form: "abt", rows: a.rows, columns: b.rows, depth: a.width, a: a.values, b: b.values, c: c.values })
  return c
}

/** Sums x xᵀ over rows. */
export class SecondMoments {
  readonly width: number
  readonly #multiply: Multiply
  readonly #part: Matrix
  readonly #sums: Float64Array
  #count = 0

  constructor(multiply: Multiply, width: number) {
    this.width = width
    this.#multiply = multiply
    this.#part = newMatrix(width, width)
    this.#sums = new Float64Array(width * width)
  }

  /** Adds `rowCount` vectors x: f32[row_count, width]. */
  add(x: Float32Array, rowCount: number): void {
    const { width } = this
    const { values } = this.#part
    this.#multiply({ form: "atb", rows: width, columns: width, depth: rowCount, a: x, b: x, c: values })
    for (let i = 0; i < values.length; i++) this.#sums[i]! += values[i]!
    this.#count += rowCount
  }

  /** L with L Lᵀ = the mean of x xᵀ plus the ridge, lower triangular: Cholesky's. */
  root(): Matrix {
    const { width } = this
    const lower = new Float64Array(width * width)
    let trace = 0
    for (let i = 0; i < width; i++) trace += this.#sums[i * width + i]! / this.#count
    for (let i = 0; i < width; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = this.#sums[i * width + j]! / this.#count
        if (i === j) sum += (ridge * trace) / width + Number.MIN_VALUE
        for (let k = 0; k < j; k++) sum -= lower[i * width + k]! * lower[j * width + k]!
        lower[i * width + j] =
          i === j ? Math.sqrt(Math.max(sum, 0)) : lower[j * width + j] === 0 ? 0 : sum / lower[j * width + j]!
      }
    }
    const root = newMatrix(width, width)
    root.values.set(lower)
    return root
  }
}
