// Which metadata and tensors of a model's files go into the file that is made of it?
import type { MetadataValue } from "../gguf/metadata.ts"
import type { QuantizableTypeName } from "../gguf/quantize.ts"
import type { Gguf, TensorInfo } from "../gguf/reader.ts"
import { rowBytes, tensorTypes } from "../gguf/tensor_type.ts"
import type { MetadataRow, TensorToWrite } from "../gguf/writer.ts"
import { isPlain, type StoredMatrix, rowChunks, transposedChunks, typedChunks } from "./tensor_chunks.ts"

/** Of one file only, or for the writer to decide. */
const ofTheFile = /^(split\.(no|count|tensors\.count)|general\.alignment)$/

/** The model's metadata with some rows replaced or added at the end, and some keys left out. */
export const changedMetadata = (
  gguf: Gguf,
  changes: { readonly set?: ReadonlyArray<MetadataRow>; readonly drop?: (key: string) => boolean }
): ReadonlyArray<MetadataRow> => {
  const rows = new Map<string, MetadataRow>()
  for (const [key, stored] of gguf.metadata.entries()) {
    if (!ofTheFile.test(key) && !changes.drop?.(key)) rows.set(key, rowOf(key, stored))
  }
  for (const row of changes.set ?? []) rows.set(row[0], row)
  return [...rows.values()]
}

const rowOf = (key: string, { type, value }: MetadataValue): MetadataRow => [key, type, value] as unknown as MetadataRow

/** Where a tensor's rows lie; the dimensions above the first are counted together. */
export const matrixOf = (gguf: Gguf, info: TensorInfo): StoredMatrix => ({
  name: info.name,
  path: gguf.files[info.file]!.path,
  offset: info.offset,
  type: info.type,
  width: info.shape[0]!,
  rowCount: info.sizeBytes / rowBytes(info.type, info.shape[0]!)
})

/** The tensor as it is stored. */
export const copied = (gguf: Gguf, info: TensorInfo, name = info.name): TensorToWrite => ({
  name,
  type: info.type,
  shape: info.shape,
  chunks: () => rowChunks(matrixOf(gguf, info))
})

/** The tensor in another type. Its rows must be whole blocks of it. */
export const retyped = (gguf: Gguf, info: TensorInfo, type: QuantizableTypeName): TensorToWrite => ({
  name: info.name,
  type,
  shape: info.shape,
  chunks: () => typedChunks(matrixOf(gguf, info), type)
})

/** The transposed matrix. */
export const transposed = (gguf: Gguf, info: TensorInfo, name: string, type: QuantizableTypeName): TensorToWrite => ({
  name,
  type,
  shape: [info.shape[1] ?? 1, info.shape[0]!],
  chunks: () => transposedChunks(matrixOf(gguf, info), type)
})

/** Whether rows of this width are whole blocks. */
export const fits = (type: QuantizableTypeName, width: number): boolean => width % tensorTypes[type].blockSize === 0

/** llama.cpp's number for what a file is mostly made of (llama.h, `enum llama_ftype`). */
export const fileTypes: { readonly [Name in QuantizableTypeName]: number } = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  Q4_K: 14,
  Q6_K: 18,
  BF16: 32
}

/** The rows that say what a file is mostly made of. The version is that of ggml's block layouts. */
export const typeRows = (type: QuantizableTypeName): ReadonlyArray<MetadataRow> => [
  ["general.file_type", "u32", fileTypes[type]],
  ...(isPlain(type) ? [] : [["general.quantization_version", "u32", 2] as const])
]
