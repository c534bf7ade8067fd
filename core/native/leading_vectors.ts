// In which directions is a matrix largest?
import type { MatrixProduct } from "./multiply_matrices.ts"
import { orthonormalize } from "./orthonormalize.ts"

/** Row-major f32[rows, width]. */
export interface Matrix {
  readonly rows: number
  readonly width: number
  readonly values: Float32Array
}

/**
 * Orthonormal rows that span the leading left singular vectors of `matrix`, of a symmetric one its leading eigenvectors: f32[rank, matrix.rows]. By
 * subspace iteration, which forms none of the others.
 *
 * - `uniform`         0 … 1: where the iteration begins
 * - `iterationCount`  each narrows what is wrong by the square of the ratio of neighbouring singular values
 * - cost              2 products of rank × the matrix's size an iteration, and keeping rows orthonormal
 */
export const leadingLeftVectors = (
  multiply: (product: MatrixProduct) => void,
  matrix: Matrix,
  rank: number,
  { uniform, iterationCount }: { readonly uniform: () => number; readonly iterationCount: number }
): Matrix => {
  const { rows, width, values } = matrix
  // Explicit buffers: native code writes them.
  const left = new Float32Array(new ArrayBuffer(4 * rank * rows))
  const right = new Float32Array(new ArrayBuffer(4 * rank * width))
  for (let i = 0; i < left.length; i++) left[i] = uniform() - 0.5
  for (let iteration = 0; iteration < iterationCount; iteration++) {
    multiply({ form: "ab", rows: rank, columns: width, depth: rows, a: left, b: values, c: right })
    orthonormalize(right, rank, width, multiply)
    multiply({ form: "abt", rows: rank, columns: rows, depth: width, a: right, b: values, c: left })
    orthonormalize(left, rank, rows, multiply)
  }
  return { rows: rank, width: rows, values: left }
}
