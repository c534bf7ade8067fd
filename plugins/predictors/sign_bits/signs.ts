// What are the signs of a matrix, as bits?

/** Rows are padded to whole vectors of 256 bits. */
export const signRowBytes = (width: number): number => Math.ceil(width / 256) * 32

/**
 * One bit a weight, 1 where it is below zero, the lowest bit of a byte first.
 *
 * - `weights`  f32[rows, width]
 * - returns    u8[rows, signRowBytes(width)]
 */
export const packSigns = (weights: Float32Array, width: number): Uint8Array<ArrayBuffer> => {
  const rows = weights.length / width
  const rowBytes = signRowBytes(width)
  const bytes = new Uint8Array(new ArrayBuffer(rows * rowBytes))
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      if (weights[row * width + i]! < 0) bytes[row * rowBytes + (i >> 3)]! |= 1 << (i & 7)
    }
  }
  return bytes
}
