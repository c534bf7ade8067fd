// Which values are above zero, one bit each? And in how many places do two such rows agree?

/** Sign bits of a row-major matrix f32[rows, width]: bit i % 32 of word i / 32 of a row. u32[rows, ceil(width / 32)]; bits beyond the width are 0. */
export const signBits = (values: Float32Array, width: number): Uint32Array => {
  const words = Math.ceil(width / 32)
  const bits = new Uint32Array((values.length / width) * words)
  for (let at = 0, word = 0; at < values.length; at += width, word += words) {
    writeSigns(values, at, width, bits, word)
  }
  return bits
}

/** The sign bits of `width` values from `at` on, written to `into` from `word` on. */
export const writeSigns = (values: Float32Array, at: number, width: number, into: Uint32Array, word: number): void => {
  into.fill(0, word, word + Math.ceil(width / 32))
  for (let i = 0; i < width; i++) if (values[at + i]! > 0) into[word + (i >>> 5)]! |= 1 << (i & 31)
}

/** Four sums of bytes, 8 a word at most, fit 32 bits for so many words. */
const wordsPerSum = 31

/** In how many bits `count` words of a, from `at` on, and of b differ. */
export const differingBits = (a: Uint32Array, at: number, b: Uint32Array, count: number): number => {
  let differing = 0
  for (let begin = 0; begin < count; begin += wordsPerSum) {
    const end = Math.min(begin + wordsPerSum, count)
    let bytes = 0
    for (let i = begin; i < end; i++) {
      let word = a[at + i]! ^ b[i]!
      word -= (word >>> 1) & 0x55555555
      word = (word & 0x33333333) + ((word >>> 2) & 0x33333333)
      bytes += (word + (word >>> 4)) & 0x0f0f0f0f
    }
    bytes = (bytes & 0x00ff00ff) + ((bytes >>> 8) & 0x00ff00ff)
    differing += (bytes + (bytes >>> 16)) & 0xffff
  }
  return differing
}
