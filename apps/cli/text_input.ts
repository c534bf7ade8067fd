// Is what the user typed or piped in valid text, and where does it come from?
import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Text that was given is not UTF-8. */
export class InvalidText extends Schema.TaggedError<InvalidText>()("InvalidText", {
  source: Schema.String,
  offset: Schema.Int
}) {
  override get message() {
    return `Cannot read ${this.source}: byte ${this.offset} is not valid UTF-8; convert the text to UTF-8`
  }
}

/** Standard input cannot be read. */
export class InputFailed extends Schema.TaggedError<InputFailed>()("InputFailed", { reason: Schema.String }) {
  override get message() {
    return `Cannot read the standard input: ${this.reason}; check where it is redirected from`
  }
}

/** The argument as text, or all of standard input if it is `-`. */
export const readText = (argument: string, name: string): Effect.Effect<string, InvalidText | InputFailed> =>
  argument === "-"
    ? Effect.flatMap(readBytes, (bytes) => decodeText(bytes, "the standard input"))
    : checkArgument(argument, `the argument ${name}`)

/** Strict: nothing is replaced, and a byte order mark is kept as the character that it is. */
export const decodeText = (bytes: Uint8Array, source: string): Effect.Effect<string, InvalidText> =>
  Effect.suspend(() => {
    const offset = firstInvalidByte(bytes)
    return offset === undefined
      ? Effect.succeed(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes))
      : Effect.fail(new InvalidText({ source, offset }))
  })

/** All of the standard input. */
export const readBytes: Effect.Effect<Uint8Array, InputFailed> = Effect.tryPromise({
  try: async () => {
    const chunks: Array<Uint8Array> = []
    for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array)
    return Buffer.concat(chunks)
  },
  catch: (cause) => new InputFailed({ reason: cause instanceof Error ? cause.message : String(cause) })
})

/**
 * The runtime has already replaced invalid bytes of the command line by U+FFFD. Where the system shows the bytes themselves (Linux), such a
 * character is looked up there; elsewhere it counts as meant.
 */
const checkArgument = (text: string, source: string): Effect.Effect<string, InvalidText> => {
  if (!text.includes("\ufffd")) return Effect.succeed(text)
  const lossy = new TextDecoder("utf-8", { ignoreBOM: true })
  const original = commandLine().find((bytes) => lossy.decode(bytes) === text && firstInvalidByte(bytes) !== undefined)
  return original ? decodeText(original, source) : Effect.succeed(text)
}

const commandLine = (): ReadonlyArray<Uint8Array> => {
  const bytes = attemptRead("/proc/self/cmdline")
  const parts: Array<Uint8Array> = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start)
    parts.push(bytes.subarray(start, end))
    start = end + 1
  }
  return parts
}

const attemptRead = (path: string): Uint8Array => {
  try {
    return readFileSync(path)
  } catch {
    return new Uint8Array(0)
  }
}

/** Offset of the first byte that belongs to no character, by what a lossless round trip would have to restore. */
const firstInvalidByte = (bytes: Uint8Array): number | undefined => {
  const restored = new TextEncoder().encode(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes))
  const length = Math.max(bytes.length, restored.length)
  for (let offset = 0; offset < length; offset++) if (bytes[offset] !== restored[offset]) return offset
  return undefined
}
