// Which predictor does each block have, in the words of an option?
import { splitOutsideParentheses } from "@powerinfer/core"

/** A list in one text is separated by semicolons, except those between parentheses. */
export const listOf = (written: string | ReadonlyArray<string>): ReadonlyArray<string> =>
  typeof written === "string"
    ? splitOutsideParentheses(written, ";")
        .map((part) => part.trim())
        .filter((part) => part !== "")
    : written

/**
 * One text for each block.
 *
 * - `written`  one a block in their order; or one for all, and exceptions: `2=TEXT`, `4-6=TEXT`, of which the last counts
 * - returns    a text where it cannot be read: why
 */
export const textsByBlock = (
  written: string | ReadonlyArray<string>,
  blockCount: number
): ReadonlyArray<string> | string => {
  const plain: Array<string> = []
  const exceptions: Array<{ readonly first: number; readonly last: number; readonly text: string }> = []
  for (const part of listOf(written)) {
    const [, first, last = first, text] = /^(\d+)(?:-(\d+))?=(.+)$/s.exec(part) ?? []
    if (text === undefined) plain.push(part)
    else exceptions.push({ first: Number(first), last: Number(last), text })
  }
  for (const { first, last } of exceptions) {
    if (first > last || last >= blockCount)
      return `there are no blocks ${first} to ${last}: the model has ${blockCount}`
  }
  if (plain.length > 1 && (plain.length !== blockCount || exceptions.length > 0)) {
    const also = exceptions.length > 0 ? ` and ${exceptions.length} exceptions` : ""
    return `it has ${plain.length} predictors${also} for ${blockCount} blocks; give one a block, or one and exceptions`
  }
  const texts = Array.from({ length: blockCount }, (_, block) => (plain.length > 1 ? plain[block] : plain[0]))
  for (const { first, last, text } of exceptions) texts.fill(text, first, last + 1)
  const missing = texts.indexOf(undefined)
  return missing < 0 ? (texts as ReadonlyArray<string>) : `block ${missing} has no predictor; give one for all others`
}
