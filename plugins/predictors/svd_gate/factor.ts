// Which rank-r matrix is nearest to a gate on the inputs that it really gets?
//
// Errors count by what they do to outputs: E|(G - A) x|² = |(G - A) L|² with E x xᵀ = L Lᵀ. The best A is then the projection of G onto the leading left
// singular vectors of G L (Eckart and Young), which subspace iteration finds without forming any of the others.

/** Row-major f32[rows, width]. */
export interface Matrix {
  readonly rows: number
  readonly width: number
  readonly values: Float32Array
}

/** What is added to the diagonal of the second moments, as a share of its mean: directions that never occur must not be divided by nothing. */
const ridge = 1e-4
/** Rounds of subspace iteration: each narrows what is wrong by the square of the ratio of neighbouring singular values. */
const iterationCount = 4

const newMatrix = (rows: number, width: number): Matrix => ({ rows, width, values: new Float32Array(rows * width) })

/** a · bᵀ: f32[a.rows, b.rows]. */
export const multiplyTransposed = (a: Matrix, b: Matrix): Matrix => {
  const product = newMatrix(a.rows, b.rows)
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++) {
      let sum = 0
      for (let k = 0; k < a.width; k++) sum += a.values[i * a.width + k]! * b.values[j * b.width + k]!
      product.values[i * b.rows + j] = sum
    }
  }
  return product
}

export const transpose = ({ rows, width, values }: Matrix): Matrix => {
  const turned = newMatrix(width, rows)
  for (let i = 0; i < rows; i++) for (let k = 0; k < width; k++) turned.values[k * rows + i] = values[i * width + k]!
  return turned
}

/** Sums x xᵀ over rows, of which only the lower triangle is kept. */
export class SecondMoments {
  readonly width: number
  #sums: Float64Array
  #count = 0

  constructor(width: number) {
    this.width = width
    this.#sums = new Float64Array(width * width)
  }

  add(values: Float32Array, rowCount: number): void {
    const { width } = this
    for (let row = 0; row < rowCount; row++) {
      const x = values.subarray(row * width, (row + 1) * width)
      for (let i = 0; i < width; i++) {
        const factor = x[i]!
        const at = i * width
        for (let j = 0; j <= i; j++) this.#sums[at + j]! += factor * x[j]!
      }
    }
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
    return { rows: width, width, values: Float32Array.from(lower) }
  }
}

/**
 * Orthonormal rows that span the leading left singular vectors of `matrix`: f32[rank, matrix.rows].
 *
 * - `uniform`  0 … 1: where the iteration begins
 * - cost       8 iterations × rank × the matrix's size
 */
export const leadingLeftVectors = (matrix: Matrix, rank: number, uniform: () => number): Matrix => {
  const turned = transpose(matrix)
  const basis = newMatrix(rank, matrix.rows)
  for (let i = 0; i < basis.values.length; i++) basis.values[i] = uniform() - 0.5
  let rows: Matrix = basis
  for (let iteration = 0; iteration < iterationCount; iteration++) {
    const right = orthonormalRows(multiplyTransposed(rows, turned))
    rows = orthonormalRows(multiplyTransposed(right, matrix))
  }
  return rows
}

/** Gram and Schmidt, twice over, so that what rounding leaves of earlier rows goes too. A row that depends on those before it becomes zero. */
const orthonormalRows = ({ rows, width, values }: Matrix): Matrix => {
  const made = Float64Array.from(values)
  const row = (i: number) => made.subarray(i * width, (i + 1) * width)
  for (let i = 0; i < rows; i++) {
    const one = row(i)
    const before = norm(one)
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < i; j++) {
        const other = row(j)
        let product = 0
        for (let k = 0; k < width; k++) product += one[k]! * other[k]!
        for (let k = 0; k < width; k++) one[k]! -= product * other[k]!
      }
    }
    const after = norm(one)
    const scale = after > 1e-6 * before ? 1 / after : 0
    for (let k = 0; k < width; k++) one[k]! *= scale
  }
  return { rows, width, values: Float32Array.from(made) }
}

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
