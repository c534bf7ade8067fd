// What does one GGUF file say, read from its header alone?
import { ByteCursor, type ByteSource } from "./byte_cursor.ts"
import { BigEndianFile, InvalidMetadata, NotGguf, UnsupportedVersion } from "./gguf_error.ts"
import type { Metadata } from "./metadata.ts"
import { readMetadata, readMetadataCount } from "./metadata_reader.ts"
import { readTensorCount, readTensorIndex, type StoredTensor, type TensorInfo } from "./tensor_index.ts"
import { modelTensors, type TensorRules } from "./tensor_type.ts"

export type { TensorInfo }

/** A file that a model lies in. */
export interface GgufFile {
  readonly path: string
  readonly sizeBytes: number
  /** Where tensor data starts; everything before it is the header. */
  readonly dataOffset: number
}

/** A model as its file, or files, describe it. */
export type Gguf = GgufOf<TensorInfo>

/** A file whose tensors are of this kind. */
export interface GgufOf<Tensor> {
  readonly version: 2 | 3
  /** PWRI is PowerInfer's: the same format, and the promise that the FFN is sparse. */
  readonly magic: "GGUF" | "PWRI"
  readonly metadata: Metadata
  /** In the order of the index; their names are unique over all files. */
  readonly tensors: ReadonlyMap<string, Tensor>
  /** One, or all parts of a split model in their order. */
  readonly files: ReadonlyArray<GgufFile>
  /** Every tensor starts at a multiple of this many bytes: a power of two, at least 8. */
  readonly alignment: number
}

const defaultAlignment = 32
const magicBytes = 4

/**
 * Reads the header of a GGUF file, version 2 or 3, little-endian. Tensor data is never touched.
 *
 * - cost    reads the header once; allocates no more than it holds
 * - throws  `NotGguf`, `BigEndianFile`, `UnsupportedVersion`, `TruncatedFile`, `MalformedGguf`, `UnsupportedTensorType`,
 *           `InvalidMetadata` (general.alignment), whatever `source.read` throws
 * - source  ggml-org/ggml docs/gguf.md; ggml/src/gguf.cpp for the rules that it leaves open
 */
export const parseGguf = (source: ByteSource): Gguf => parseGgufOf(source, modelTensors)

/** The same of a file that is no model, and has tensors of other types. */
export const parseGgufOf = <Type extends string>(
  source: ByteSource,
  rules: TensorRules<Type>
): GgufOf<StoredTensor<Type>> => {
  const { path, sizeBytes } = source
  const magic = readMagic(source)
  const cursor = new ByteCursor(source)
  cursor.u32("magic")

  const version = cursor.u32("version")
  if (version === 0x0200_0000 || version === 0x0300_0000) throw new BigEndianFile({ path })
  if (version !== 2 && version !== 3) throw new UnsupportedVersion({ path, version })

  const tensorCount = readTensorCount(cursor)
  const metadata = readMetadata(cursor, readMetadataCount(cursor))
  const alignment = readAlignment(metadata, path)
  const { tensors, dataOffset } = readTensorIndex(cursor, tensorCount, alignment, magic, rules)
  return { version, magic, metadata, tensors, files: [{ path, sizeBytes, dataOffset }], alignment }
}

const readMagic = (source: ByteSource): "GGUF" | "PWRI" => {
  const bytes = source.read(0, Math.min(magicBytes, source.sizeBytes))
  const text = String.fromCharCode(...bytes)
  if (text === "GGUF" || text === "PWRI") return text
  const actual = bytes.length === 0 ? "nothing: it is empty" : JSON.stringify(text)
  throw new NotGguf({ path: source.path, actual })
}

/** gguf.md asks for a multiple of 8, ggml for a power of two. Both matter here: kernels read tensors in place. */
const readAlignment = (metadata: Metadata, path: string): number => {
  const key = "general.alignment"
  const alignment = metadata.u32(key, defaultAlignment)
  if (alignment < 8 || !Number.isInteger(Math.log2(alignment))) {
    throw new InvalidMetadata({ path, key, expected: "a power of two, at least 8", actual: String(alignment) })
  }
  return alignment
}
