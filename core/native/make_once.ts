// How do many processes and threads that need the same file agree that one of them makes it?
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"

/** The holder touches its lock this often … */
const heartbeatMs = 1_000
/** … so that one which has not been touched for so long belongs to nobody: its thread was ended, which its process outlives. */
const abandonedMs = 10_000
const pollMs = 100

/**
 * Runs `make` unless `isMade` says that there is nothing to do, while everybody else who asks for the same `lock` waits.
 *
 * The lock is a directory with the holder's process id in it. Should two hold it after all (a suspended process wakes up late), `make` runs
 * twice: it must end in one atomic step.
 *
 * - `onWait`   called once if somebody else is at it
 * - returns    whether `make` ran here
 */
export const makeOnce = Effect.fnUntraced(function* <E>(options: {
  readonly lock: string
  readonly isMade: () => boolean
  readonly make: Effect.Effect<unknown, E>
  readonly onWait: () => void
}): Effect.fn.Return<boolean, E> {
  let waited = false
  while (!options.isMade()) {
    const makes = Effect.acquireUseRelease(
      Effect.sync(() => take(options.lock)),
      // Looked at again: the former holder may have finished between our look and our lock.
      (held) => (held && !options.isMade() ? Effect.as(options.make, true) : Effect.succeed(false)),
      (held) => Effect.sync(() => held?.release())
    )
    if (yield* makes) return true
    if (options.isMade()) break
    if (!waited) options.onWait()
    waited = true
    yield* Effect.sleep(pollMs)
  }
  return false
})

interface Lock {
  readonly release: () => void
}

/** The lock, or undefined while somebody else holds it. Where none can be made, everybody works: making will say what is wrong. */
const take = (lock: string): Lock | undefined => {
  try {
    mkdirSync(dirname(lock), { recursive: true })
    if (isAbandoned(lock)) rmSync(lock, { recursive: true, force: true })
    mkdirSync(lock)
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    return code === "EEXIST" ? undefined : { release: () => {} }
  }
  writeFileSync(holderFile(lock), String(process.pid))
  const heartbeat = setInterval(() => touch(lock), heartbeatMs)
  return {
    release() {
      clearInterval(heartbeat)
      rmSync(lock, { recursive: true, force: true })
    }
  }
}

const holderFile = (lock: string): string => join(lock, "pid")

const touch = (lock: string): void => {
  const now = new Date()
  try {
    utimesSync(lock, now, now)
  } catch {
    // Taken over while this process was suspended. Its next owner beats for itself.
  }
}

const isAbandoned = (lock: string): boolean => {
  try {
    if (Date.now() - statSync(lock).mtimeMs > abandonedMs) return true
    const holder = Number(readFileSync(holderFile(lock), "utf8"))
    return holder > 0 && !isRunning(holder)
  } catch {
    // There is no lock, or it was made this moment and names nobody yet.
    return false
  }
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    // EPERM: it runs, as somebody else.
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}
