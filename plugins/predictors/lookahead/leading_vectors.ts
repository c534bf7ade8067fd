// Which are the leading eigenvectors of a symmetric matrix without negative eigenvalues?
import { type MatrixProduct, randomFromSeed } from "@powerinfer/core"

/** Enough for subspaces that are to be good, not exact: a guess of rank r loses little to its neighbours. */
const iterationCount = 24

/**
 * The `count` leading ones as rows, f32[count, width], by subspace iteration from seeded vectors.
 *
 * - cost  iterations × (width² + count · width) × count multiplications
 */
export const leadingVectors = (
  matrix: Float32Array,
  width: number,
  count: number,
  seed: number,
  multiply: (product: MatrixProduct) => void
): Float32Array => {
  const random = randomFromSeed(seed)
  let vectors = Float32Array.from({ length: count * width }, () => random.nextUniform() - 0.5)
  orthonormalize(vectors, width)
  for (let iteration = 0; iteration < iterationCount; iteration++) {
    const next = new Float32Array(count * width)
    multiply({ form: "ab", rows: count, columns: width, depth: width, a: vectors, b: matrix, c: next })
    orthonormalize(next, width)
    vectors = next
  }
  return vectors
}

/** Gram-Schmidt, twice: once leaves what rounding brings in. A vector of which nothing is left becomes zero. */
const orthonormalize = (vectors: Float32Array, width: number): void => {
  const count = vectors.length / width
  for (let row = 0; row < count; row++) {
    const vector = vectors.subarray(row * width, (row + 1) * width)
    const before = Math.sqrt(dot(vector, vector))
    for (let pass = 0; pass < 2; pass++) {
      for (let other = 0; other < row; other++) {
        const earlier = vectors.subarray(other * width, (other + 1) * width)
        const along = dot(vector, earlier)
        for (let i = 0; i < width; i++) vector[i]! -= along * earlier[i]!
      }
    }
    const norm = Math.sqrt(dot(vector, vector))
    const scale = norm > 1e-6 * before ? 1 / norm : 0
    for (let i = 0; i < width; i++) vector[i]! *= scale
  }
}

const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
