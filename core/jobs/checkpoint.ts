// What does a job that was ended leave behind, and may the next one go on with it? Pieces in a folder, under the hash of all that they depend on.
import { createHash } from "node:crypto"
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type { TrainingCheckpoint } from "../predictor.ts"
import { attemptWrite, writeFully } from "../whole_file.ts"

/** Pieces of unfinished work. */
export interface Checkpoint extends TrainingCheckpoint {
  readonly folder: string
  /** There were pieces of the same work. */
  readonly goesOn: boolean
  /** Forgets all pieces: the work is done, or begins again. */
  readonly drop: Effect.Effect<void>
}

const keyFile = "made_for"

/**
 * Opens the folder, and makes it where there is none. Pieces of other work are dropped, and `announce` says so.
 *
 * - `madeFor`  all that the pieces depend on: plain data, compared by its JSON
 * - fails      with `FileUnwritable`
 */
export const openCheckpoint = (
  folder: string,
  madeFor: unknown,
  announce: (line: string) => void
): Effect.Effect<Checkpoint, Effect.Error<ReturnType<typeof attemptWrite>>> =>
  attemptWrite(folder, () => {
    const key = createHash("sha256").update(JSON.stringify(madeFor)).digest("hex")
    const keyPath = join(folder, keyFile)
    const goesOn = existsSync(keyPath) && readFileSync(keyPath, "utf8") === key
    if (!goesOn) {
      if (existsSync(folder)) announce(`${folder} was left by a run of other inputs: starting over`)
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder, { recursive: true })
      writePiece(keyPath, new TextEncoder().encode(key))
    }
    const pathOf = (name: string) => {
      if (!/^[A-Za-z0-9._-]+$/.test(name)) throw new RangeError(`Cannot name a piece ${JSON.stringify(name)}`)
      return join(folder, `${name}.piece`)
    }
    return {
      folder,
      goesOn,
      read: (name) => (existsSync(pathOf(name)) ? Uint8Array.from(readFileSync(pathOf(name))) : undefined),
      write: (name, bytes) => writePiece(pathOf(name), bytes),
      drop: Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    }
  })

/** On the disk before it has its name: a machine that stops in between leaves the older piece. */
const writePiece = (path: string, bytes: Uint8Array): void => {
  const descriptor = openSync(`${path}.tmp`, "w")
  try {
    writeFully(descriptor, bytes)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(`${path}.tmp`, path)
}
