// How is a file on disk read by position, with every refusal of the system as a typed error?
import { closeSync, openSync, readSync, statSync } from "node:fs"
import type { ByteSource } from "./byte_cursor.ts"
import { FileNotFound, FileUnreadable, NotAFile, TruncatedFile } from "./gguf_error.ts"

/**
 * Opens a regular file, hands it to `use` and closes it, whatever happens.
 *
 * - throws  `FileNotFound`, `NotAFile`, `FileUnreadable`, whatever `use` throws; `read` throws `TruncatedFile` if the
 *           file has become shorter since it was opened
 */
export const withFile = <A>(path: string, use: (source: ByteSource) => A): A => {
  const sizeBytes = regularFileBytes(path)
  const descriptor = attempt(path, () => openSync(path, "r"))
  try {
    return use({ path, sizeBytes, read: (offset, length) => readExactly(path, descriptor, offset, length) })
  } finally {
    closeSync(descriptor)
  }
}

/** Looked at before opening: to open a pipe would wait for its writer. */
const regularFileBytes = (path: string): number => {
  const stats = attempt(path, () => statSync(path))
  if (stats.isFile()) return stats.size
  throw new NotAFile({ path, actual: stats.isDirectory() ? "a directory" : "not a regular file" })
}

const readExactly = (path: string, descriptor: number, offset: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  let filled = 0
  while (filled < length) {
    const count = attempt(path, () => readSync(descriptor, bytes, filled, length - filled, offset + filled))
    if (count === 0) {
      const what = "what its size promised"
      throw new TruncatedFile({ path, what, expectedBytes: offset + length, actualBytes: offset + filled })
    }
    filled += count
  }
  return bytes
}

const attempt = <A>(path: string, evaluate: () => A): A => {
  try {
    return evaluate()
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined
    // ENOTDIR: a part of the path that should be a directory is a file.
    if (code === "ENOENT" || code === "ENOTDIR") throw new FileNotFound({ path })
    throw new FileUnreadable({ path, reason: error instanceof Error ? error.message : String(error) })
  }
}
