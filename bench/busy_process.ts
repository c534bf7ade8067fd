// What does a machine look like on which somebody else works? One process that keeps a core busy, now and then.
import { spawn } from "node:child_process"
import { Effect, type Scope } from "effect"

/** A process that computes while it is let. */
export interface BusyProcess {
  readonly processId: number
  /** Lets it work while `work` runs. */
  readonly during: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Should its owner die without stopping it, it does not go on for ever. */
const lifetimeMs = 3_600_000

/** Starts a process of one thread, suspended. It ends with the scope. */
export const openBusyProcess: Effect.Effect<BusyProcess, never, Scope.Scope> = Effect.gen(function* () {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const code = `const start = Date.now(); while (Date.now() - start < ${lifetimeMs});`
      const started = spawn(process.execPath, ["-e", code], { stdio: "ignore" })
      started.kill("SIGSTOP")
      return started
    }),
    (started) => Effect.sync(() => void started.kill("SIGKILL"))
  )
  return {
    processId: child.pid!,
    during: (work) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void child.kill("SIGCONT")),
        () => work,
        () => Effect.sync(() => void child.kill("SIGSTOP"))
      )
  }
})
