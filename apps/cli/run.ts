// The arguments of this process, parsed and run.
import * as Effect from "effect/Effect"
import { powerinfer } from "./commands.ts"
import { knownOptions } from "./known_options.ts"
import { runCommandFor } from "./run_command.ts"

export const run = (): void => runCommandFor((args) => Effect.map(knownOptions(args), powerinfer))
