// How does a model description and a stream of tensor bytes become a GGUF file?
import * as Effect from "effect/Effect"
import { attemptWrite, type FileUnwritable, writeFully, writeWholeFile } from "../whole_file.ts"
import { ByteBuilder } from "./byte_builder.ts"
import type { MetadataArray, MetadataType, MetadataValue, MetadataValues } from "./metadata.ts"
import { metadataTypeIds } from "./metadata_reader.ts"
import { rowBytes, type TensorTypeName, tensorTypes } from "./tensor_type.ts"

/** One metadata entry: `["llama.block_count", "u32", 6]`, `["tokenizer.ggml.tokens", "string[]", tokens]`. */
export type MetadataRow = {
  [T in MetadataType]: readonly [key: string, type: T, value: MetadataValues[T]]
}[MetadataType]

/** A tensor to be written. */
export interface TensorToWrite {
  readonly name: string
  readonly type: TensorTypeName
  /** `shape[0]` is the contiguous width, a whole number of blocks. */
  readonly shape: ReadonlyArray<number>
  /**
   * The tensor's bytes in any division; asked for once, when its turn comes, so that a whole model never lies in memory.
   * An interruption leaves off between two of them, without a word to who makes them.
   */
  readonly chunks: () => Iterable<Uint8Array>
}

/** What `writeGguf` writes. */
export interface GgufToWrite {
  /** Default GGUF. */
  readonly magic?: "GGUF" | "PWRI"
  /** Default 3. The two versions differ in nothing that a little-endian file shows. */
  readonly version?: 2 | 3
  /** A power of two, at least 8. Default 32; another value is also written as `general.alignment`. */
  readonly alignment?: number
  readonly metadata: ReadonlyArray<MetadataRow>
  readonly tensors: ReadonlyArray<TensorToWrite>
}

/**
 * Writes a GGUF file under a temporary name beside `path` and renames it when it is complete; a failure or an
 * interruption leaves nothing behind and an older file at `path` untouched.
 *
 * - `onProgress`  hears every few megabytes how many bytes of how many have been written
 * - fails         with `FileUnwritable`
 * - dies          if the description is wrong: rows that are not whole blocks, more or fewer bytes than the shape asks for
 */
export const writeGguf = (
  path: string,
  gguf: GgufToWrite,
  onProgress: (writtenBytes: number, totalBytes: number) => void = () => {}
): Effect.Effect<void, FileUnwritable> =>
  writeWholeFile(path, (descriptor) => writeAll(path, descriptor, gguf, onProgress))

/** The bytes of the file up to its tensor data, whose place and length follow from the shapes. */
const encodeHeader = (gguf: GgufToWrite): Uint8Array<ArrayBuffer> => {
  const alignment = gguf.alignment ?? defaultAlignment
  const metadata: Array<MetadataRow> = [...gguf.metadata]
  if (alignment !== defaultAlignment) metadata.push(["general.alignment", "u32", alignment])

  const header = new ByteBuilder()
  header.append(new TextEncoder().encode(gguf.magic ?? "GGUF"))
  header.u32(gguf.version ?? 3)
  header.u64(gguf.tensors.length)
  header.u64(metadata.length)
  for (const [key, type, value] of metadata) {
    header.string(key)
    appendValue(header, { type, value } as MetadataValue)
  }
  let offset = 0
  for (const tensor of gguf.tensors) {
    header.string(tensor.name)
    header.u32(tensor.shape.length)
    for (const length of tensor.shape) header.u64(length)
    header.u32(tensorTypes[tensor.type].id)
    header.u64(offset)
    offset += Math.ceil(tensorBytes(tensor) / alignment) * alignment
  }
  header.align(alignment)
  return header.bytes
}

const defaultAlignment = 32

const tensorBytes = ({ type, shape }: TensorToWrite): number =>
  shape.slice(1).reduce((rows, length) => rows * length, 1) * rowBytes(type, shape[0]!)

const appendValue = (header: ByteBuilder, stored: MetadataValue): void => {
  if (typeof stored.value === "object") {
    header.u32(metadataTypeIds.indexOf("array"))
    return appendArray(header, stored as MetadataArray)
  }
  const { type, value } = stored as Exclude<MetadataValue, MetadataArray>
  header.u32(metadataTypeIds.indexOf(type))
  if (type === "bool") header.u8(value ? 1 : 0)
  else if (type === "string") header.string(value)
  else if (type === "u64" || type === "i64") header[type](value)
  else header[type](value)
}

const appendArray = (header: ByteBuilder, { type, value }: MetadataArray): void => {
  const element = type.slice(0, -2) as (typeof metadataTypeIds)[number]
  header.u32(metadataTypeIds.indexOf(element))
  header.u64(value.length)
  if (type === "string[]") for (const text of value) header.string(text)
  else if (type === "array[]") for (const inner of value) appendArray(header, inner)
  else header.append(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
}

/** Signals are heard between two of these. */
const bytesPerTurn = 1 << 22

const writeAll = Effect.fnUntraced(function* (
  path: string,
  descriptor: number,
  gguf: GgufToWrite,
  onProgress: (writtenBytes: number, totalBytes: number) => void
) {
  const alignment = gguf.alignment ?? defaultAlignment
  const totalBytes = gguf.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
  let writtenBytes = 0
  let turnBytes = 0
  yield* attemptWrite(path, () => writeFully(descriptor, encodeHeader(gguf)))
  for (const tensor of gguf.tensors) {
    const chunks = tensor.chunks()[Symbol.iterator]()
    let bytes = 0
    for (;;) {
      const length = yield* attemptWrite(path, () => {
        const next = chunks.next()
        if (next.done) return undefined
        writeFully(descriptor, next.value)
        return next.value.length
      })
      if (length === undefined) break
      bytes += length
      turnBytes += length
      if (turnBytes < bytesPerTurn) continue
      turnBytes = 0
      onProgress(writtenBytes + bytes, totalBytes)
      yield* Effect.yieldNow
    }
    const expected = tensorBytes(tensor)
    if (bytes !== expected) {
      return yield* Effect.die(new Error(`Tensor ${tensor.name} got ${bytes} bytes, its shape asks for ${expected}`))
    }
    writtenBytes += bytes
    yield* attemptWrite(path, () =>
      writeFully(descriptor, new Uint8Array((alignment - (bytes % alignment)) % alignment))
    )
  }
})
