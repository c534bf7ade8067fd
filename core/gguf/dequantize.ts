// What numbers do the bytes of a tensor stand for?
//
// These definitions are exact, so that every faster implementation can be compared with them bit for bit. Scales are
// binary16 (11 significant bits) and are multiplied by at most 13 bits of integers in all: each product fits the 24 bits
// of a float32. Float32 code therefore rounds nowhere but at a final sum (with or without fused multiply-add), and that
// sum, done here in float64 and rounded once when it is stored, is the same (53 ≥ 2 · 24 + 2 bits). Hence no Math.fround.
// Order of operations and layouts: ggml's `dequantize_row_*` (ggml-quants.c).
import { dequantizeBf16, dequantizeF16, dequantizeF32 } from "./quants/floats.ts"
import { dequantizeQ2_K } from "./quants/q2_k.ts"
import { dequantizeQ3_K } from "./quants/q3_k.ts"
import { dequantizeQ4_0 } from "./quants/q4_0.ts"
import { dequantizeQ4_1 } from "./quants/q4_1.ts"
import { dequantizeQ4_K } from "./quants/q4_k.ts"
import { dequantizeQ5_0 } from "./quants/q5_0.ts"
import { dequantizeQ5_1 } from "./quants/q5_1.ts"
import { dequantizeQ5_K } from "./quants/q5_k.ts"
import { dequantizeQ6_K } from "./quants/q6_k.ts"
import { dequantizeQ8_0 } from "./quants/q8_0.ts"
import { rowBytes, type TensorTypeName } from "./tensor_type.ts"

const dequantizers: { readonly [Name in TensorTypeName]: (bytes: Uint8Array, out: Float32Array) => void } = {
  F32: dequantizeF32,
  F16: dequantizeF16,
  BF16: dequantizeBf16,
  Q8_0: dequantizeQ8_0,
  Q4_0: dequantizeQ4_0,
  Q4_1: dequantizeQ4_1,
  Q5_0: dequantizeQ5_0,
  Q5_1: dequantizeQ5_1,
  Q2_K: dequantizeQ2_K,
  Q3_K: dequantizeQ3_K,
  Q4_K: dequantizeQ4_K,
  Q5_K: dequantizeQ5_K,
  Q6_K: dequantizeQ6_K
}

/**
 * Writes the values of whole blocks.
 *
 * - `bytes`  u8[rowBytes(type, out.length)], any address
 * - `out`    f32, a whole number of blocks
 * - throws   a RangeError if the lengths do not fit each other
 */
export const dequantize = (type: TensorTypeName, bytes: Uint8Array, out: Float32Array): void => {
  const expected = rowBytes(type, out.length)
  if (bytes.length !== expected) {
    throw new RangeError(`${out.length} values of ${type} take ${expected} bytes, not ${bytes.length}`)
  }
  dequantizers[type](bytes, out)
}
