// How does a failure reach whoever ran the command?
import * as Effect from "effect/Effect"
import { type ExitCode, exitCodeOf } from "./exit_code.ts"
import { note, printJson } from "./output.ts"

/**
 * Says what went wrong on standard error, with `--json` also as an object on standard output.
 *
 * - returns  the exit code
 */
export const reportFailure = Effect.fnUntraced(function* (error: unknown, json: boolean) {
  const code: ExitCode = exitCodeOf(error)
  if (code === 0) return code
  const message = messageOf(error)
  yield* note(`powerinfer: ${message}`)
  if (json && !isReported(error))
    yield* Effect.ignore(printJson({ error: { tag: tagOf(error), message, exit_code: code } }))
  return code
})

/** The command has printed a document of its own, with the error in it. */
const isReported = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "reported" in error && error.reported === true

/** Of several mistakes on a command line, all; of a defect, where it happened. */
const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if ("errors" in error && Array.isArray(error.errors) && "commandPath" in error && Array.isArray(error.commandPath)) {
    const mistakes = error.errors.map((mistake: { readonly message: string }) => mistake.message)
    return `${mistakes.join("; ")}; see ${error.commandPath.join(" ")} --help`
  }
  return exitCodeOf(error) === 1 && !("_tag" in error) ? (error.stack ?? error.message) : error.message
}

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "Defect"
