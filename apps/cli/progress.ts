// What does a person see while something takes long?
import * as Effect from "effect/Effect"

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
const frameMs = 80
/** A pipe or a log hears nothing of what is quicker than this. */
const quietMs = 1000
/** A pipe or a log hears how far it is no more often than this. */
const plainEveryMs = 10_000
const clearLine = "\r\u001b[K"

/**
 * Runs `work` under a label on standard error: a spinner on a terminal; elsewhere one plain line, once it has taken a second.
 *
 * - `work` is given `announce`, which prints a line of its own and goes on working after the spinner has gone, and `show`, which says
 *   after the label how far it is: at once on a terminal, now and then elsewhere
 */
export const withProgress = <A, E, R>(
  label: string,
  work: (announce: (line: string) => void, show: (howFar: string) => void) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => (process.stderr.isTTY ? startSpinner(label) : startPlain(label))),
    ({ announce, show }) => work(announce, show),
    ({ stop }) => Effect.sync(stop)
  )

const startSpinner = (label: string) => {
  let frame = 0
  let stopped = false
  let shown = label
  const draw = () => {
    process.stderr.write(`${clearLine}${frames[frame++ % frames.length]} ${shown}`)
  }
  draw()
  const timer = setInterval(draw, frameMs)
  return {
    announce: (line: string) => {
      process.stderr.write(`${stopped ? "" : clearLine}${line}\n`)
      if (!stopped) draw()
    },
    show: (howFar: string) => {
      shown = `${label} ${howFar}`
    },
    stop: () => {
      stopped = true
      clearInterval(timer)
      process.stderr.write(clearLine)
    }
  }
}

const startPlain = (label: string) => {
  const timer = setTimeout(() => process.stderr.write(`${label}\n`), quietMs)
  let toldMs = performance.now()
  return {
    announce: (line: string) => {
      process.stderr.write(`${line}\n`)
    },
    show: (howFar: string) => {
      if (performance.now() - toldMs < plainEveryMs) return
      toldMs = performance.now()
      process.stderr.write(`${label} ${howFar}\n`)
    },
    stop: () => clearTimeout(timer)
  }
}
