// What does Ctrl-C end: the program, or only what it is doing right now?
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

const listeners: Array<() => void> = []

/** Hands Ctrl-C to the innermost `stoppable` that runs. False if none does: the program is what ends. */
export const handleCtrlC = (): boolean => {
  const innermost = listeners.at(-1)
  innermost?.()
  return innermost !== undefined
}

/** Runs an effect that Ctrl-C interrupts without ending the program; none if it did. */
export const stoppable = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const stopped = Deferred.makeUnsafe<Option.Option<A>>()
      const stop = () => Deferred.doneUnsafe(stopped, Effect.succeedNone)
      listeners.push(stop)
      return { stopped, stop }
    }),
    ({ stopped }) => Effect.raceFirst(Effect.asSome(effect), Deferred.await(stopped)),
    ({ stop }) => Effect.sync(() => void listeners.splice(listeners.indexOf(stop), 1))
  )
