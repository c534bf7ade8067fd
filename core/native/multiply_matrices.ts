// How are large matrices multiplied, for what is learned and factorized on this machine?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { NativeLibraryError } from "./library.ts"
import { openThreads, threadSymbols } from "./open_threads.ts"
import { loadPowerinfer } from "./powerinfer.ts"

/** POWERINFER_GEMM_x, in its order: a · b, a · bᵀ, aᵀ · b. */
const productForms = ["ab", "abt", "atb"] as const

/** A product of row-major matrices without gaps between their rows. */
export interface MatrixProduct {
  /** `ab`: a f32[rows, depth], b f32[depth, columns]; `abt`: b f32[columns, depth]; `atb`: a f32[depth, rows]. */
  readonly form: (typeof productForms)[number]
  readonly rows: number
  readonly columns: number
  readonly depth: number
  readonly a: Float32Array
  readonly b: Float32Array
  /** f32[rows, columns], written. */
  readonly c: Float32Array
  /** To what `c` holds; default false. */
  readonly adds?: boolean
}

const symbols = {
  ...threadSymbols,
  powerinfer_gemm_f32: {
    args: ["u32", "u32", "u32", "u32", "u32", "buf", "u32", "buf", "u32", "u32", "buf", "u32"],
    ret: "i32"
  }
} as const

/**
 * Opens a function that multiplies matrices on `threads` threads (0, the default: one a core) until the scope closes.
 *
 * - returns  the same bits for any number of threads; other instruction sets round differently
 * - throws   RangeError if an array is shorter than its matrix
 * - cost     70 to 90 GFLOP/s a thread on AVX2 at 3.4 GHz for sizes of some hundreds
 */
export const openMatrixProduct = Effect.fnUntraced(function* (
  threads = 0
): Effect.fn.Return<(product: MatrixProduct) => void, NativeLibraryError, Scope.Scope> {
  const native = yield* loadPowerinfer(symbols)
  const { symbols: calls, check } = native
  const cpu = yield* Effect.orDie(openThreads(native, threads))
  return ({ form, rows, columns, depth, a, b, c, adds = false }) => {
    requireMatrix("a", a, rows, depth)
    requireMatrix("b", b, depth, columns)
    requireMatrix("c", c, rows, columns)
    const aStride = form === "atb" ? rows : depth
    const bStride = form === "abt" ? depth : columns
    const call = calls.powerinfer_gemm_f32
    const number = productForms.indexOf(form)
    check(
      "powerinfer_gemm_f32",
      call(cpu, number, rows, columns, depth, a, aStride, b, bStride, Number(adds), c, columns)
    )
  }
})

/** The native library cannot see how long a buffer is. */
const requireMatrix = (name: string, values: Float32Array, rows: number, columns: number): void => {
  if (values.length >= rows * columns) return
  throw new RangeError(
    `Cannot multiply matrices: ${name} has ${values.length} values, ${rows} × ${columns} are ${rows * columns}`
  )
}
