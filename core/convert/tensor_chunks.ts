// How do the bytes of one tensor come out copied, transposed or in another type, without the model ever lying in memory?
import { dequantize } from "../gguf/dequantize.ts"
import { withFile } from "../gguf/file_source.ts"
import { type QuantizableTypeName, quantize } from "../gguf/quantize.ts"
import { rowBytes, type TensorTypeName } from "../gguf/tensor_type.ts"
import { ConversionImpossible } from "./conversion_error.ts"

/** Where a matrix lies: rows of `width` elements, one after the other from `offset`. */
export interface StoredMatrix {
  readonly name: string
  readonly path: string
  readonly offset: number
  readonly type: TensorTypeName
  readonly width: number
  readonly rowCount: number
}

/** A piece of rows in memory: about this many elements. */
const chunkElements = 1 << 20

const readRows = ({ path, offset, type, width }: StoredMatrix, first: number, count: number): Uint8Array =>
  withFile(path, (source) => source.read(offset + rowBytes(type, width) * first, rowBytes(type, width) * count))

/** Pieces of whole rows, as they are stored. Throws what `withFile` does, like everything here. */
export function* rowChunks(matrix: StoredMatrix): Generator<Uint8Array> {
  const rows = rowsPerChunk(matrix.width)
  for (let first = 0; first < matrix.rowCount; first += rows) {
    yield readRows(matrix, first, Math.min(rows, matrix.rowCount - first))
  }
}

/** The rows of a projection into attention heads that are to come out in another order. */
export interface HeadOrder {
  readonly headWidth: number
  /** Where in the matrix the rows of each head begin that comes out, in that order. */
  readonly firstRows: ReadonlyArray<number>
  /** The rows of a head come out as 0, w/2, 1, w/2 + 1, … of the w it has. */
  readonly interleaves: boolean
}

/** The rows of each head, one head a piece. */
export function* headChunks(
  matrix: StoredMatrix,
  { headWidth, firstRows, interleaves }: HeadOrder
): Generator<Uint8Array> {
  const bytes = rowBytes(matrix.type, matrix.width)
  const half = headWidth / 2
  for (const first of firstRows) {
    const stored = readRows(matrix, first, headWidth)
    if (!interleaves) {
      yield stored
      continue
    }
    const turned = new Uint8Array(stored.length)
    for (let row = 0; row < headWidth; row++) {
      const from = (row >> 1) + (row & 1) * half
      turned.set(stored.subarray(from * bytes, (from + 1) * bytes), row * bytes)
    }
    yield turned
  }
}

/** The same pieces as float32. Each is valid until the next. */
function* valueChunks({ type, width }: StoredMatrix, pieces: Iterable<Uint8Array>): Generator<Float32Array> {
  let values = new Float32Array(0)
  for (const bytes of pieces) {
    const length = (bytes.length / rowBytes(type, width)) * width
    if (length > values.length) values = new Float32Array(length)
    const chunk = values.subarray(0, length)
    dequantize(type, bytes, chunk)
    yield chunk
  }
}

const rowsPerChunk = (width: number): number => Math.max(1, Math.floor(chunkElements / width))

/** Rows in another type, by default all of the matrix in their order; throws `ConversionImpossible` at a value that it cannot hold. */
export function* typedChunks(
  matrix: StoredMatrix,
  type: QuantizableTypeName,
  pieces: Iterable<Uint8Array> = rowChunks(matrix)
): Generator<Uint8Array> {
  if (type === matrix.type) return yield* pieces
  for (const values of valueChunks(matrix, pieces)) {
    requireHolds(matrix, type, values)
    yield quantize(type, values)
  }
}

/** The largest magnitude of binary16, which values or their scales are stored in. */
const halfMax = 65_504

const requireHolds = ({ name, path }: StoredMatrix, type: QuantizableTypeName, values: Float32Array): void => {
  if (type === "F32" || type === "BF16") return
  for (let i = 0; i < values.length; i++) {
    // NaN is not below it either.
    if (Math.abs(values[i]!) <= halfMax) continue
    throw new ConversionImpossible({
      path,
      reason: `${name} holds ${values[i]}, which ${type} cannot`,
      remedy: "choose the type F32 or BF16, and mistrust the model"
    })
  }
}

/**
 * The transposed matrix, in pieces of its rows. In the same F16, BF16 or F32 its elements are moved; in any other type they are encoded anew.
 *
 * - cost  the whole matrix in memory, in float32 where it is encoded anew
 */
export function* transposedChunks(matrix: StoredMatrix, type: QuantizableTypeName): Generator<Uint8Array> {
  const { width, rowCount } = matrix
  const moves = type === matrix.type && isPlain(type)
  const elements = moves ? storedElements(matrix, type) : allValues(matrix)
  const rows = rowsPerChunk(rowCount)
  for (let first = 0; first < width; first += rows) {
    const columns = Math.min(rows, width - first)
    const chunk = transposeColumns(elements, { width, rowCount, first, columns })
    if (moves) {
      yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    } else {
      requireHolds(matrix, type, chunk as Float32Array)
      yield quantize(type, chunk as Float32Array)
    }
  }
}

/** Types whose elements stand alone, so that moving them changes none. */
export const isPlain = (type: TensorTypeName): type is "F32" | "F16" | "BF16" =>
  type === "F32" || type === "F16" || type === "BF16"

type Elements = Float32Array | Uint32Array | Uint16Array

/** Bits, not numbers: a NaN would lose its payload on the way through one. */
const storedElements = (matrix: StoredMatrix, type: "F32" | "F16" | "BF16"): Elements => {
  const elements =
    type === "F32" ? new Uint32Array(matrix.width * matrix.rowCount) : new Uint16Array(matrix.width * matrix.rowCount)
  const bytes = new Uint8Array(elements.buffer)
  let at = 0
  for (const chunk of rowChunks(matrix)) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return elements
}

const allValues = (matrix: StoredMatrix): Float32Array => {
  const values = new Float32Array(matrix.width * matrix.rowCount)
  let at = 0
  for (const chunk of valueChunks(matrix, rowChunks(matrix))) {
    values.set(chunk, at)
    at += chunk.length
  }
  return values
}

/** Squares of this side stay in a core's first cache, read and written. */
const tile = 32

const transposeColumns = (
  elements: Elements,
  { width, rowCount, first, columns }: Readonly<Record<"width" | "rowCount" | "first" | "columns", number>>
): Elements => {
  const out = new (elements.constructor as new (length: number) => Elements)(columns * rowCount)
  for (let rowTile = 0; rowTile < rowCount; rowTile += tile) {
    const rowEnd = Math.min(rowTile + tile, rowCount)
    for (let columnTile = 0; columnTile < columns; columnTile += tile) {
      const columnEnd = Math.min(columnTile + tile, columns)
      for (let row = rowTile; row < rowEnd; row++) {
        for (let column = columnTile; column < columnEnd; column++) {
          out[column * rowCount + row] = elements[row * width + first + column]!
        }
      }
    }
  }
  return out
}
