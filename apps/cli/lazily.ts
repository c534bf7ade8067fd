// How is a command's module loaded when the command runs, so that none waits for the others?
import * as Effect from "effect/Effect"

/** A command that is loaded when it runs. */
export const lazily =
  <Input, E, R>(load: () => Promise<(input: Input) => Effect.Effect<void, E, R>>) =>
  (input: Input): Effect.Effect<void, E, R> =>
    Effect.flatMap(Effect.promise(load), (run) => run(input))
