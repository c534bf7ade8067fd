// How are the rows of a matrix of random weights made as fast as a disk takes them?
import {
  quantize,
  type QuantizableTypeName,
  type Random,
  randomFromSeed,
  rowBytes,
  tensorTypes
} from "@powerinfer/core"

/** Random numbers drawn once; rows are stretches of them. */
const poolSize = 2 ** 20
/** Rows are made, encoded and written in portions of about this size. */
const chunkBytes = 2 ** 20

/** f32[count], standard normal (Box and Muller). `count` is even. */
export const normalValues = (count: number, random: Random): Float32Array => {
  const values = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random.nextUniform()))
    const angle = 2 * Math.PI * random.nextUniform()
    values[i] = radius * Math.cos(angle)
    values[i + 1] = radius * Math.sin(angle)
  }
  return values
}

/** FNV-1a over the name: a tensor's rows do not depend on its place in the file. */
export const randomOf = (name: string, seed: number): Random => {
  let hash = seed
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193)
  return randomFromSeed(hash >>> 0)
}

/** Standard normal numbers, and their encodings. */
export class NormalPool {
  /** f32[poolSize] */
  readonly values: Float32Array
  readonly #encoded = new Map<string, Uint8Array>()
  #ordered: Float32Array | undefined

  constructor(seed: number) {
    this.values = normalValues(poolSize, randomFromSeed(seed))
  }

  /** Few spreads are asked for, each by many tensors. */
  encoded(type: QuantizableTypeName, spread: number): Uint8Array {
    const key = `${type} ${spread}`
    const known = this.#encoded.get(key)
    if (known) return known
    const scaled = this.values.map((value) => value * spread)
    const bytes = quantize(type, scaled)
    this.#encoded.set(key, bytes)
    return bytes
  }

  /** The number that this share of the pool exceeds. */
  exceededBy(share: number): number {
    this.#ordered ??= this.values.toSorted()
    return this.#ordered[Math.min(Math.floor(poolSize * (1 - share)), poolSize - 1)]!
  }
}

interface RandomRows {
  readonly type: QuantizableTypeName
  readonly width: number
  readonly rowCount: number
  /** Standard deviation of the weights. */
  readonly spread: number
  /** So many first rows are zero. Default 0. */
  readonly zeroRows?: number
  readonly random: Random
}

/**
 * Rows cut out of the encoded pool where a block begins. Two rows overlap at a shift, which makes their products with
 * anything independent; of the types with large blocks some are the same row, which changes nothing that is measured.
 */
export function* stretches(pool: NormalPool, rows: RandomRows): Iterable<Uint8Array> {
  const { type, width, rowCount, zeroRows = 0, random } = rows
  const encoded = pool.encoded(type, rows.spread)
  const { blockBytes } = tensorTypes[type]
  const bytes = rowBytes(type, width)
  const zeros = quantize(type, new Float32Array(width))
  const starts = (encoded.length - bytes) / blockBytes + 1
  const chunkRows = Math.max(1, Math.floor(chunkBytes / bytes))
  const chunk = new Uint8Array(Math.min(chunkRows, rowCount) * bytes)
  for (let first = 0; first < rowCount; first += chunkRows) {
    const count = Math.min(chunkRows, rowCount - first)
    for (let row = 0; row < count; row++) {
      const start = Math.floor(random.nextUniform() * starts) * blockBytes
      chunk.set(first + row < zeroRows ? zeros : encoded.subarray(start, start + bytes), row * bytes)
    }
    yield chunk.subarray(0, count * bytes)
  }
}

/** Rows that `fill` writes one by one and that are encoded here: some 10 to 35 ns a weight, where stretches cost next to nothing. */
export function* encodedRows(
  type: QuantizableTypeName,
  width: number,
  rowCount: number,
  fill: (row: Float32Array, index: number) => void
): Iterable<Uint8Array> {
  const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes(type, width)))
  const values = new Float32Array(Math.min(chunkRows, rowCount) * width)
  for (let first = 0; first < rowCount; first += chunkRows) {
    const count = Math.min(chunkRows, rowCount - first)
    for (let row = 0; row < count; row++) fill(values.subarray(row * width, (row + 1) * width), first + row)
    yield quantize(type, values.subarray(0, count * width))
  }
}

/** Sets `row` to the sum of two stretches of the pool, of standard deviation `spread`: no two rows are alike. */
export const fillNormal = (row: Float32Array, { values }: NormalPool, spread: number, random: Random): void => {
  const scale = spread * Math.SQRT1_2
  const starts = values.length - row.length + 1
  const first = Math.floor(random.nextUniform() * starts)
  const second = Math.floor(random.nextUniform() * starts)
  for (let i = 0; i < row.length; i++) row[i] = scale * (values[first + i]! + values[second + i]!)
}
