// How does what a conversion has planned reach the disk?
import type * as Effect from "effect/Effect"
import { type GgufToWrite, writeGguf } from "../gguf/writer.ts"
import type { FileUnwritable } from "../whole_file.ts"
import { type ConversionError, conversionFailures } from "./conversion_error.ts"

/** What a conversion is about to write, and what whoever asked for it should know: a line each. */
export interface Conversion {
  readonly gguf: GgufToWrite
  readonly notes: ReadonlyArray<string>
}

/**
 * Writes the file, as `writeGguf` does: a tensor at a time, whole or not at all. `path` may be the file that is read.
 *
 * - fails  with `FileUnwritable`; with a `ConversionError` where the input changes meanwhile, or holds what a type cannot
 */
export const writeConversion = (
  path: string,
  { gguf }: Conversion,
  onProgress?: (writtenBytes: number, totalBytes: number) => void
): Effect.Effect<void, FileUnwritable | ConversionError> => conversionFailures(writeGguf(path, gguf, onProgress))
