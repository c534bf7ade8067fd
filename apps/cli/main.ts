#!/usr/bin/env bun
// The command `powerinfer`.
import { startWorker } from "@powerinfer/core/worker"

// Commands that open an engine for certain: its modules load beside the command's own, which takes as long.
if (["generate", "chat"].includes(process.argv[2] ?? "")) startWorker()

const { run } = await import("./run.ts")
run()
