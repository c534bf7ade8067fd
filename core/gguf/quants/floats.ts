// How do F32, F16 and BF16 tensors become float32, and the other way around?
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../float16.ts"

/** F32: the bytes themselves, copied, since a tensor may start at an address that no Float32Array can. */
export const dequantizeF32 = (bytes: Uint8Array, out: Float32Array): void => {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes)
}

export const quantizeF32 = (values: Float32Array, out: Uint8Array): void => {
  out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

/** The float32 of every u16, made when first needed: twice as fast as taking each apart. */
let halves: Float32Array | undefined

/** F16: u16 as IEEE binary16. Exact. */
export const dequantizeF16 = (bytes: Uint8Array, out: Float32Array): void => {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, half) => f16ToF32(half))
  for (let i = 0; i < out.length; i++) out[i] = halves[u16(bytes, i)]!
}

export const quantizeF16 = (values: Float32Array, out: Uint8Array): void => {
  for (let i = 0; i < values.length; i++) putU16(out, i, f32ToF16(values[i]!))
}

/** BF16: u16 as the upper half of a float32. Exact. */
export const dequantizeBf16 = (bytes: Uint8Array, out: Float32Array): void => {
  for (let i = 0; i < out.length; i++) out[i] = bf16ToF32(u16(bytes, i))
}

export const quantizeBf16 = (values: Float32Array, out: Uint8Array): void => {
  for (let i = 0; i < values.length; i++) putU16(out, i, f32ToBf16(values[i]!))
}

const u16 = (bytes: Uint8Array, i: number): number => bytes[2 * i]! | (bytes[2 * i + 1]! << 8)

const putU16 = (bytes: Uint8Array, i: number, value: number): void => {
  bytes[2 * i] = value & 0xff
  bytes[2 * i + 1] = value >> 8
}
