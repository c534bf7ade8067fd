// Which text is a model run on, and which bytes was it?
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import { FileNotFound, FileUnreadable } from "powerinfer"
import { decodeText } from "./text_input.ts"

/** A file of text. */
export interface CorpusText {
  readonly name: string
  /** Of its bytes. */
  readonly sha256: string
  readonly text: string
}

/** Reads files whole, in their order. Fails with `FileNotFound`, `FileUnreadable`; with `InvalidText` where they are not UTF-8. */
export const readCorpus = (paths: ReadonlyArray<string>) =>
  Effect.forEach(
    paths,
    Effect.fnUntraced(function* (path) {
      const bytes = yield* Effect.tryPromise({ try: () => readFile(path), catch: (cause) => unreadable(path, cause) })
      const read: CorpusText = {
        name: basename(path),
        sha256: createHash("sha256").update(bytes).digest("hex"),
        text: yield* decodeText(bytes, path)
      }
      return read
    })
  )

const unreadable = (path: string, cause: unknown): FileNotFound | FileUnreadable => {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === "ENOENT") return new FileNotFound({ path })
  return new FileUnreadable({ path, reason: code === "EISDIR" ? "it is a directory" : message })
}
