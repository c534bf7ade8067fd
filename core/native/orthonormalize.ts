// How do many long vectors become orthonormal without drowning in rounding?
import type { MatrixProduct } from "./multiply_matrices.ts"

/** Vectors that are made orthogonal one by one, in f64; those before them are taken off together. */
const panel = 32

/**
 * Makes the rows of f32[count, width] orthonormal in place, from the first on: of any number of first rows the span stays. A row that lies in the
 * span of those before it becomes 0.
 *
 * - cost    2 · count² · width multiply-adds in products, and count · panel · width here
 * - source  block Gram-Schmidt, twice (Giraud, Langou, Rozložník, 2005: twice is enough)
 */
export const orthonormalize = (
  rows: Float32Array,
  count: number,
  width: number,
  multiply: (product: MatrixProduct) => void
): void => {
  for (let begin = 0; begin < count; begin += panel) {
    const size = Math.min(panel, count - begin)
    const before = rows.subarray(0, begin * width)
    const own = rows.subarray(begin * width, (begin + size) * width)
    for (let pass = 0; pass < 2; pass++) {
      if (begin > 0) {
        const along = new Float32Array(size * begin)
        multiply({ form: "abt", rows: size, columns: begin, depth: width, a: own, b: before, c: along })
        for (let at = 0; at < along.length; at++) along[at] = -along[at]!
        multiply({ form: "ab", rows: size, columns: width, depth: begin, a: along, b: before, c: own, adds: true })
      }
      for (let row = 0; row < size; row++) standAlone(own, row, width)
    }
  }
}

/** What remains of a row that is no more than this long was rounding. */
const lengthMin = 1e-6

/** Takes the rows before it off a row, and makes its length 1. */
const standAlone = (rows: Float32Array, row: number, width: number): void => {
  const start = row * width
  const whole = Math.sqrt(product(rows, start, start, width))
  for (let other = 0; other < start; other += width) {
    const along = product(rows, start, other, width)
    for (let i = 0; i < width; i++) rows[start + i]! -= along * rows[other + i]!
  }
  const length = Math.sqrt(product(rows, start, start, width))
  const scale = length > lengthMin * whole ? 1 / length : 0
  for (let i = 0; i < width; i++) rows[start + i]! *= scale
}

const product = (rows: Float32Array, one: number, other: number, width: number): number => {
  let sum = 0
  for (let i = 0; i < width; i++) sum += rows[one + i]! * rows[other + i]!
  return sum
}
