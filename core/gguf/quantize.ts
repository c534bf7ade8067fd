// Which bytes of a tensor type stand for these numbers best?
import { quantizeBf16, quantizeF16, quantizeF32 } from "./quants/floats.ts"
import { quantizeQ4_0 } from "./quants/q4_0.ts"
import { quantizeQ4_K } from "./quants/q4_k.ts"
import { quantizeQ6_K } from "./quants/q6_k.ts"
import { quantizeQ8_0 } from "./quants/q8_0.ts"
import { rowBytes } from "./tensor_type.ts"

const quantizers = {
  F32: quantizeF32,
  F16: quantizeF16,
  BF16: quantizeBf16,
  Q8_0: quantizeQ8_0,
  Q4_0: quantizeQ4_0,
  Q4_K: quantizeQ4_K,
  Q6_K: quantizeQ6_K
} as const satisfies { readonly [name: string]: (values: Float32Array, out: Uint8Array) => void }

/** A type that `quantize` can write: what generated models and artifacts are made of. */
export type QuantizableTypeName = keyof typeof quantizers

/** The types that `quantize` can write. */
export const quantizableTypes = Object.keys(quantizers) as ReadonlyArray<QuantizableTypeName>

/**
 * Encodes finite values as whole blocks of `type`.
 *
 * - `values`  f32, a whole number of blocks
 * - returns   u8[rowBytes(type, values.length)]; for F16, BF16, Q8_0 and Q4_0 the bytes that ggml's reference writes,
 *             for Q4_K and Q6_K a valid encoding with a larger error than ggml's
 * - throws    a RangeError if `values` is not a whole number of blocks
 */
export const quantize = (type: QuantizableTypeName, values: Float32Array): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(rowBytes(type, values.length))
  quantizers[type](values, bytes)
  return bytes
}
