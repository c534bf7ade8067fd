// Goal: matrices are multiplied in each of the three forms, and what is no matrix is refused before native code sees it.
// Method: the sums, written out, of small matrices of whole numbers, which are exact.
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { type MatrixProduct, openMatrixProduct } from "../../core/native/multiply_matrices.ts"

const multiply = (product: MatrixProduct): Promise<Float32Array> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.map(openMatrixProduct(2), (run) => {
        run(product)
        return product.c
      })
    )
  )

/** value(i, j) for i < rows, j < columns. */
const matrix = (rows: number, columns: number, value: (row: number, column: number) => number): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, at) => value(Math.floor(at / columns), at % columns))

const [rows, columns, depth] = [7, 19, 5]
const left = (i: number, k: number): number => ((3 * i + 5 * k) % 11) - 5
const right = (k: number, j: number): number => ((7 * k + 2 * j) % 13) - 6
const expected = matrix(rows, columns, (i, j) => {
  let sum = 0
  for (let k = 0; k < depth; k++) sum += left(i, k) * right(k, j)
  return sum
})

describe("openMatrixProduct", () => {
  const factors = {
    ab: { a: matrix(rows, depth, left), b: matrix(depth, columns, right) },
    abt: { a: matrix(rows, depth, left), b: matrix(columns, depth, (j, k) => right(k, j)) },
    atb: { a: matrix(depth, rows, (k, i) => left(i, k)), b: matrix(depth, columns, right) }
  }
  for (const form of ["ab", "abt", "atb"] as const) {
    test(`multiplies ${form}, and adds to what is there when asked`, async () => {
      const c = new Float32Array(rows * columns).fill(9)
      expect(await multiply({ form, rows, columns, depth, ...factors[form], c })).toEqual(expected)
      const twice = await multiply({ form, rows, columns, depth, ...factors[form], c, adds: true })
      expect(twice).toEqual(expected.map((value) => 2 * value))
    })
  }

  test("refuses arrays that are shorter than their matrices", async () => {
    const c = new Float32Array(rows * columns - 1)
    await expect(multiply({ form: "ab", rows, columns, depth, ...factors.ab, c })).rejects.toThrow(
      "c has 132 values, 7 × 19 are 133"
    )
  })
})
