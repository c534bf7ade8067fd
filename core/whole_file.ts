// How does a file appear whole or not at all?
import { closeSync, existsSync, openSync, realpathSync, renameSync, rmSync, statSync, writeSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { removeAbandoned } from "./abandoned_files.ts"

/** The operating system refused to create or write the file. */
export class FileUnwritable extends Schema.TaggedError<FileUnwritable>()("FileUnwritable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot write ${this.path}: ${this.reason}; check the directory, its permissions and the free space`
  }
}

interface Target {
  readonly descriptor: number
  /** What is open while it is incomplete, and what it is then called. Undefined for a pipe or a device, which is written as it is. */
  readonly rename: { readonly from: string; readonly to: string } | undefined
}

const openTarget = (path: string): Target => {
  const there = existsSync(path) ? statSync(path) : undefined
  if (there?.isDirectory()) throw new FileUnwritable({ path, reason: "it is a directory, not a file in one" })
  if (there && !there.isFile()) return { descriptor: openSync(path, "w"), rename: undefined }
  // A link keeps pointing where it did.
  const to = there ? realpathSync(path) : path
  removeAbandoned(to)
  const from = `${to}.${process.pid}.tmp`
  return { descriptor: openSync(from, "w"), rename: { from, to } }
}

/**
 * Opens `path` under a temporary name beside it, lets `fill` write, and renames it when it is complete. A failure or an interruption leaves nothing
 * behind and an older file untouched; what a killed process leaves goes with the next write. Pipes and devices are written as they are.
 *
 * - fails  with `FileUnwritable`, and as `fill` does
 */
export const writeWholeFile = <E, R>(
  path: string,
  fill: (descriptor: number) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | FileUnwritable, R> =>
  Effect.acquireUseRelease(
    attemptWrite(path, () => openTarget(path)),
    ({ descriptor, rename }) =>
      Effect.andThen(
        fill(descriptor),
        attemptWrite(path, () => {
          if (rename) renameSync(rename.from, rename.to)
        })
      ),
    ({ descriptor, rename }, exit) =>
      Effect.sync(() => {
        closeSync(descriptor)
        if (rename && Exit.isFailure(exit)) rmSync(rename.from, { force: true })
      })
  )

/** One call to the system may write less than it was given: Linux stops at 2 GiB. */
export const writeFully = (descriptor: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
}

/** Runs writing code. Errors of the system (they carry a code such as ENOSPC) fail; anything else is a bug and dies. */
export const attemptWrite = <A>(path: string, evaluate: () => A): Effect.Effect<A, FileUnwritable> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(evaluate())
    } catch (error) {
      if (error instanceof FileUnwritable) return Effect.fail(error)
      return error instanceof Error && "syscall" in error
        ? Effect.fail(new FileUnwritable({ path, reason: error.message }))
        : Effect.die(error)
    }
  })
