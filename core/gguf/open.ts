// How does a path become a description of the model that lies there?
import type * as Effect from "effect/Effect"
import { withFile } from "./file_source.ts"
import { attemptGguf, type GgufError } from "./gguf_error.ts"
import { type Gguf, parseGguf } from "./reader.ts"
import { joinParts, partCountOf } from "./split.ts"

/**
 * Reads the header of the model at `path`; of a split model (`-00001-of-0000N.gguf`), any part stands for all.
 *
 * - cost   the header's bytes; every file is closed again before the effect ends
 * - fails  with the `GgufError` that says what is wrong with which file
 */
export const readGguf = (path: string): Effect.Effect<Gguf, GgufError> =>
  attemptGguf(() => {
    const opened = withFile(path, parseGguf)
    return partCountOf(opened) > 1 ? joinParts(path, opened, (part) => withFile(part, parseGguf)) : opened
  })
