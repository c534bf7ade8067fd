// Has the generated text reached a stop string, and how much of it may be shown already?
import * as Schema from "effect/Schema"

/** The texts that end a generation. An empty one would end it before it starts. */
export const StopStrings = Schema.Array(Schema.NonEmptyString)

/** What may be shown after a piece of text arrived. */
export interface StopStringOutput {
  /** Text that is certainly not part of a stop string and comes before it. */
  readonly text: string
  /** Whether a stop string has been reached; nothing follows then. */
  readonly stopped: boolean
}

/** Watches a text that arrives in pieces. Its output does not depend on where the pieces are cut. */
export interface StopStringMatcher {
  /**
   * Takes the next piece and gives back what may be shown. Holds back only the longest end of the text that a stop string begins
   * with. The stop string itself is never shown; after it, everything is swallowed.
   */
  push(piece: string): StopStringOutput
  /** The text that was held back when the generation ended otherwise. Empties the matcher. */
  flush(): string
}

/**
 * Opens a matcher for `stops`, none of them empty (`StopStrings` checks that).
 *
 * The text stops where the first stop string is complete; of several that are complete at the same place, the longest counts.
 */
export const openStopStringMatcher = (stops: ReadonlyArray<string>): StopStringMatcher => {
  let held = ""
  let stopped = false

  const push = (piece: string): StopStringOutput => {
    if (stopped) return { text: "", stopped }
    const seen = held + piece
    const stopStart = findStop(seen, stops)
    if (stopStart !== undefined) {
      stopped = true
      held = ""
      return { text: seen.slice(0, stopStart), stopped }
    }
    const heldLength = longestBegunStop(seen, stops)
    held = seen.slice(seen.length - heldLength)
    return { text: seen.slice(0, seen.length - heldLength), stopped }
  }

  const flush = () => {
    const text = held
    held = ""
    return text
  }

  return { push, flush }
}

/** Where the stop string that is complete first begins. */
const findStop = (text: string, stops: ReadonlyArray<string>): number | undefined => {
  let start: number | undefined
  let end = Infinity
  for (const stop of stops) {
    const found = text.indexOf(stop)
    if (found === -1 || found + stop.length > end) continue
    start = found + stop.length === end ? Math.min(found, start ?? found) : found
    end = found + stop.length
  }
  return start
}

/** The length of the longest end of `text` that begins a stop string without completing it. */
const longestBegunStop = (text: string, stops: ReadonlyArray<string>): number => {
  let longest = 0
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length
    }
  }
  return longest
}
