// Is this the model that an artifact was made for?
import { createHash } from "node:crypto"
import { withFile } from "./file_source.ts"
import type { Gguf } from "./reader.ts"

const sampleCount = 64
const sampleBytes = 4096
/** Bytes hashed at once, where a whole region is. */
const chunkBytes = 1 << 20

/**
 * The model's hash, which activation profiles, predictor weights and plans carry: 64 hexadecimal digits.
 *
 * SHA-256 over, for each file in order: its size (u64, little-endian), its header up to the tensor data, and 64 samples
 * of 4 KiB spread evenly over the tensor data, the first and the last bytes included (all of it, where that is less).
 * Names and dates do not count: a renamed or copied model keeps its hash.
 *
 * - cost    the header and 256 KiB a file, whatever the model's size
 * - limits  tells models apart; a few weights changed between two samples go unnoticed, so it is no seal against tampering
 * - throws  `FileNotFound`, `NotAFile`, `FileUnreadable`, `TruncatedFile`: run it inside `attemptGguf`
 */
export const fingerprintGguf = (gguf: Gguf): string => {
  const hash = createHash("sha256")
  for (const { path, sizeBytes, dataOffset } of gguf.files) {
    const size = new DataView(new ArrayBuffer(8))
    size.setBigUint64(0, BigInt(sizeBytes), true)
    hash.update(new Uint8Array(size.buffer))
    withFile(path, (source) => {
      const hashRegion = (start: number, end: number): void => {
        for (let at = start; at < end; at += chunkBytes) hash.update(source.read(at, Math.min(chunkBytes, end - at)))
      }
      // A file without tensors may end before the padding that would precede them.
      const headerEnd = Math.min(dataOffset, sizeBytes)
      hashRegion(0, headerEnd)
      if (sizeBytes - headerEnd <= sampleCount * sampleBytes) return hashRegion(headerEnd, sizeBytes)
      const step = (sizeBytes - headerEnd - sampleBytes) / (sampleCount - 1)
      for (let i = 0; i < sampleCount; i++) {
        const start = headerEnd + Math.floor(i * step)
        hashRegion(start, start + sampleBytes)
      }
    })
  }
  return hash.digest("hex")
}
