#!/usr/bin/env bun
// The command `powerinfer`.
import { powerinfer } from "./commands.ts"
import { runCommand } from "./run_command.ts"

runCommand(powerinfer)
