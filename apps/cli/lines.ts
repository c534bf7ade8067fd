// What did the user type next?
import * as Effect from "effect/Effect"
import { decodeText, InputFailed } from "./text_input.ts"

const newline = 10

/**
 * Standard input, line by line; `next` is undefined at its end. Open it once.
 *
 * A read that is interrupted stays under way and keeps the process alive: whoever is interrupted here has to end it (`runCommand` does).
 *
 * - fails  `InvalidText` on a line that is not UTF-8, `InputFailed`
 */
export const openLines = Effect.sync(() => {
  const input = process.stdin[Symbol.asyncIterator]()
  let held = new Uint8Array(0)
  let ended = false
  const next = Effect.gen(function* () {
    let end = held.indexOf(newline)
    while (end < 0 && !ended) {
      const read = yield* Effect.tryPromise({
        try: () => input.next(),
        catch: (cause) => new InputFailed({ reason: cause instanceof Error ? cause.message : String(cause) })
      })
      if (read.done) ended = true
      else held = Buffer.concat([held, read.value as Uint8Array])
      end = held.indexOf(newline)
    }
    if (end < 0 && held.length === 0) return undefined
    const line = held.subarray(0, end < 0 ? held.length : end)
    held = held.subarray(end < 0 ? held.length : end + 1)
    return yield* decodeText(line, "the standard input")
  })
  return { next }
})
