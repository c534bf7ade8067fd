// What happens between a command line and an exit code?
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import { handleCtrlC } from "./ctrl_c.ts"
import type { CommandError } from "./exit_code.ts"
import { print } from "./output.ts"
import manifest from "./package.json" with { type: "json" }
import { platformLayer } from "./platform.ts"
import { reportFailure } from "./report_failure.ts"

/** What effect/cli wants to show. Errors are not shown here: they are reported like all others, and in one line. */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    Effect.gen(function* () {
      const formatter = yield* CliOutput.Formatter
      if (event._tag === "Help") yield* Effect.ignore(print(`${formatter.formatHelpDoc(event.helpDoc)}\n`))
      if (event._tag === "Version")
        yield* Effect.ignore(print(`${formatter.formatVersion(event.name, event.version)}\n`))
    })
})

/** 128 + the signal's number, as a shell reports it. */
const signalCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

type Runnable<Name extends string, Input, ContextInput> = Command.Command<
  Name,
  Input,
  ContextInput,
  CommandError,
  Command.Environment
>

/** Runs a command with the arguments of this process, and ends the process with a code of `exitCodes`. */
export const runCommand = <Name extends string, Input, ContextInput>(
  command: Runnable<Name, Input, ContextInput>
): void => runCommandFor(() => Effect.succeed(command))

/**
 * The same, of a command whose flags depend on what the arguments name.
 *
 * A signal interrupts the command, whose scopes then free what they hold; a second one does not wait for that.
 */
export const runCommandFor = <Name extends string, Input, ContextInput>(
  commandFor: (args: ReadonlyArray<string>) => Effect.Effect<Runnable<Name, Input, ContextInput>, CommandError>
): void => {
  const args = process.argv.slice(2)
  const program: Effect.Effect<void, CommandError> = commandFor(args).pipe(
    Effect.flatMap((command) => Command.runWith(command, { version: manifest.version })(args)),
    Effect.provide(platformLayer),
    Effect.provide(presenter)
  )
  const fiber = Effect.runFork(program)

  let signalCode: number | undefined
  for (const [signal, code] of Object.entries(signalCodes)) {
    process.on(signal, () => {
      if (signal === "SIGINT" && signalCode === undefined && handleCtrlC()) return
      if (signalCode !== undefined) process.exit(code)
      signalCode = code
      Effect.runFork(Fiber.interrupt(fiber))
    })
  }

  fiber.addObserver(async (exit) => {
    if (signalCode !== undefined) process.exit(signalCode)
    if (Exit.isSuccess(exit)) process.exit(0)
    const json = args.includes("--json")
    process.exit(await Effect.runPromise(reportFailure(Cause.squash(exit.cause), json)).catch(() => 1))
  })
}
