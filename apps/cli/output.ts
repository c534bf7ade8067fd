// How does text reach the terminal, a file or a pipe, whole and without a crash when the reader goes away?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Whoever read our output has stopped reading (`powerinfer … | head`). Nothing is wrong: the program just ends. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {}) {
  override get message() {
    return "Cannot write: the reader of the output has gone"
  }
}

/** The output cannot be written: a full disk behind a redirection, say. */
export class OutputFailed extends Schema.TaggedError<OutputFailed>()("OutputFailed", { reason: Schema.String }) {
  override get message() {
    return `Cannot write the output: ${this.reason}; check where it is redirected to`
  }
}

// The callback of `write` reports the same error; without a listener it would also end the process.
process.stdout.on("error", () => {})
process.stderr.on("error", () => {})

/** Writes to standard output; done when the system has taken it all. */
export const print = (text: string): Effect.Effect<void, OutputClosed | OutputFailed> =>
  Effect.callback((resume) => {
    process.stdout.write(text, (error) => {
      if (!error) return resume(Effect.void)
      const closed = "code" in error && error.code === "EPIPE"
      resume(Effect.fail(closed ? new OutputClosed() : new OutputFailed({ reason: error.message })))
    })
  })

/** Writes a line to standard output, from code that cannot wait. What `print` writes later comes after it. */
export const printLine = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** Writes a line to standard error. Nobody reading it is no reason to stop. */
export const note = (line: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    process.stderr.write(`${line}\n`, () => resume(Effect.void))
  })

/** One JSON document on standard output, indented for people, who read it too. */
export const printJson = (value: unknown) => print(`${JSON.stringify(value, undefined, 2)}\n`)
