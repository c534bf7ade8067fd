#!/usr/bin/env bun
// The command `powerinfer`.
import { Effect } from "effect"
import { powerinfer } from "./commands.ts"
import { knownOptions } from "./known_options.ts"
import { runCommandFor } from "./run_command.ts"

runCommandFor((args) => Effect.map(knownOptions(args), powerinfer))
