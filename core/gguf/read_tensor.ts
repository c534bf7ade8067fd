// What are the values of one tensor, for code that wants to see them in JavaScript?
import { dequantize } from "./dequantize.ts"
import { withFile } from "./file_source.ts"
import type { Gguf } from "./reader.ts"
import type { TensorInfo } from "./tensor_index.ts"
import { rowBytes, tensorTypes } from "./tensor_type.ts"

/** Elements decoded per read, rounded to whole blocks: bounds the bytes held beside the result. */
const chunkElements = 1 << 18

/**
 * Reads and dequantizes a whole tensor: for the reference backend and for tests, not for speed.
 *
 * - returns  f32[product of shape], `shape[0]` contiguous
 * - throws   `FileNotFound`, `NotAFile`, `FileUnreadable`, `TruncatedFile`, if the file has changed since it was opened
 */
export const readTensor = (gguf: Gguf, info: TensorInfo): Float32Array<ArrayBuffer> => {
  const { blockSize, blockBytes } = tensorTypes[info.type]
  const values = new Float32Array((info.sizeBytes / blockBytes) * blockSize)
  withFile(gguf.files[info.file]!.path, (source) => {
    for (let start = 0; start < values.length; start += chunkElements) {
      const chunk = values.subarray(start, start + chunkElements)
      const bytes = source.read(info.offset + rowBytes(info.type, start), rowBytes(info.type, chunk.length))
      dequantize(info.type, bytes, chunk)
    }
  })
  return values
}

/** Reads a whole tensor as it is stored: for native kernels that want it in memory of their own. Throws as `readTensor` does. */
export const readTensorBytes = (gguf: Gguf, info: TensorInfo): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(new ArrayBuffer(info.sizeBytes))
  withFile(gguf.files[info.file]!.path, (source) => bytes.set(source.read(info.offset, info.sizeBytes)))
  return bytes
}
