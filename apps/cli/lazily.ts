// How is a command loaded only when it runs?
import { Effect } from "effect"

/** The handler of a command, from the module that has it. */
export const lazily =
  <Input, E, R>(load: () => Promise<(input: Input) => Effect.Effect<void, E, R>>) =>
  (input: Input): Effect.Effect<void, E, R> =>
    Effect.flatMap(Effect.promise(load), (run) => run(input))
