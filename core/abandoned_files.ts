// Who removes the temporary file of a writer that was killed? The next one that writes the same file.
import { readdirSync, rmSync } from "node:fs"
import { basename, dirname, join } from "node:path"

/** Removes what processes that have ended left beside `path` under a temporary name: `PATH.PID.tmp`, or `PATH.PID.ANYTHING.tmp`. */
export const removeAbandoned = (path: string): void => {
  const directory = dirname(path)
  const start = `${basename(path)}.`
  attempt(() => {
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(start) || !name.endsWith(".tmp")) continue
      const writer = name.slice(start.length).split(".")[0]!
      if (/^\d+$/.test(writer) && !isRunning(Number(writer))) attempt(() => rmSync(join(directory, name)))
    }
  })
}

/** What may not be read or removed, another user's say, stays: it is in nobody's way. */
const attempt = (remove: () => void): void => {
  try {
    remove()
  } catch (cause) {
    if (!(cause instanceof Error && "syscall" in cause)) throw cause
  }
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    // Whatever else stands in the way, as the process being another user's, does not say that it has ended.
    return (cause as NodeJS.ErrnoException).code !== "ESRCH"
  }
}
