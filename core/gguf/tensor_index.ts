// Which tensors does the file hold, of which type and shape, and where do their bytes lie?
import type { ByteCursor } from "./byte_cursor.ts"
import { TruncatedFile, UnsupportedTensorType } from "./gguf_error.ts"
import { foreignTypeName, type TensorRules, type TensorTypeName } from "./tensor_type.ts"

/** One tensor of a model. Its bytes are read by a backend, never by this description. */
export type TensorInfo = StoredTensor<TensorTypeName>

/** One tensor of a file whose tensors have these types. */
export interface StoredTensor<Type extends string> {
  readonly name: string
  readonly type: Type
  /** 1 to 4 dimensions in GGUF's order: `shape[0]` is the contiguous width of a row. */
  readonly shape: ReadonlyArray<number>
  /** Position in `Gguf.files` of the file that holds it. */
  readonly file: number
  /** Bytes from the start of that file; a multiple of the alignment. */
  readonly offset: number
  readonly sizeBytes: number
}

/** ggml keeps 64 bytes for a name; converters for other engines go a little further. */
const maxNameBytes = 128
const maxDimensions = 4
/** The shortest entry: name length, one byte of name, dimension count, one dimension, type, offset. */
const entryBytesMin = 8 + 1 + 4 + 8 + 4 + 8

/** Reads the count of tensors: the second field of the file's fixed header. */
export const readTensorCount = (cursor: ByteCursor): number => cursor.count(entryBytesMin, "tensor count")

/**
 * Reads `count` entries and proves that every tensor lies inside the file and overlaps no other.
 *
 * - `rules`  types that the file may have
 * - `magic`  decides how a type's id is read, and the id of an unsupported one named
 * - returns  the tensors in the order of the index and the offset at which tensor data starts
 * - throws   `TruncatedFile`, `MalformedGguf`, `UnsupportedTensorType`
 */
export const readTensorIndex = <Type extends string>(
  cursor: ByteCursor,
  count: number,
  alignment: number,
  magic: "GGUF" | "PWRI",
  rules: TensorRules<Type>
): { readonly tensors: ReadonlyMap<string, StoredTensor<Type>>; readonly dataOffset: number } => {
  const relative: Array<StoredTensor<Type>> = []
  for (let i = 0; i < count; i++) relative.push(readEntry(cursor, i, alignment, magic, rules))

  // Offsets in the index count from the data section, whose start is known only now.
  const dataOffset = Math.ceil(cursor.offset / alignment) * alignment
  const tensors = new Map<string, StoredTensor<Type>>()
  for (const tensor of relative) {
    if (tensors.has(tensor.name)) throw cursor.malformed(`tensor ${tensor.name} appears twice`)
    tensors.set(tensor.name, { ...tensor, offset: dataOffset + tensor.offset })
  }
  requirePlacement(cursor, [...tensors.values()])
  return { tensors, dataOffset }
}

const readEntry = <Type extends string>(
  cursor: ByteCursor,
  index: number,
  alignment: number,
  magic: "GGUF" | "PWRI",
  rules: TensorRules<Type>
): StoredTensor<Type> => {
  const name = cursor.string(`name of tensor ${index}`, maxNameBytes)
  if (name === "") throw cursor.malformed(`tensor ${index} has no name`)
  const what = `tensor ${name}`

  const dimensions = cursor.u32(what)
  if (dimensions < 1 || dimensions > maxDimensions) {
    throw cursor.malformed(`${what} has ${dimensions} dimensions, not 1 to ${maxDimensions}`)
  }
  const shape = Array.from({ length: dimensions }, () => cursor.size(what))

  const typeId = cursor.u32(what)
  const types = rules.types(magic)
  const type = types.get(typeId)
  if (type === undefined) {
    const typeName = foreignTypeName(typeId, magic)
    const supported = Array.from(types.values(), ({ name }) => name)
    throw new UnsupportedTensorType({ path: cursor.source.path, tensor: name, typeId, typeName, supported })
  }
  const { blockSize, blockBytes } = type

  // Every partial product is checked, so that none is ever rounded.
  let elements = 1
  for (const length of shape) {
    elements *= length
    if (length < rules.lengthMin || !Number.isSafeInteger(elements))
      throw cursor.malformed(`${what} has the shape ${shape.join(" × ")}`)
  }
  if (shape[0]! % blockSize !== 0) {
    throw cursor.malformed(
      `${what} has rows of ${shape[0]} elements, not a whole number of ${type.name} blocks of ${blockSize}`
    )
  }
  const sizeBytes = (elements / blockSize) * blockBytes

  const offset = cursor.size(what)
  if (offset % alignment !== 0) throw cursor.malformed(`${what} starts at ${offset}, not a multiple of ${alignment}`)
  return { name, type: type.name, shape, file: 0, offset, sizeBytes }
}

const requirePlacement = (cursor: ByteCursor, tensors: ReadonlyArray<StoredTensor<string>>): void => {
  const { path, sizeBytes: actualBytes } = cursor.source
  const ordered = tensors.toSorted((a, b) => a.offset - b.offset)
  let end = 0
  for (const tensor of ordered) {
    if (tensor.offset < end) throw cursor.malformed(`tensor ${tensor.name} overlaps another`)
    end = tensor.offset + tensor.sizeBytes
    if (end > actualBytes) {
      // Tell the size of the whole file, not where its first missing tensor would end.
      const expectedBytes = ordered.reduce((most, { offset, sizeBytes }) => Math.max(most, offset + sizeBytes), end)
      throw new TruncatedFile({ path, what: `tensor ${tensor.name}`, expectedBytes, actualBytes })
    }
  }
}
