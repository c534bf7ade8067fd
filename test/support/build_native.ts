// Runs before any test: builds the native libraries if this version of them is not there yet, so that no test's time limit pays for it.
import { locateLibrary } from "@powerinfer/core"
import { Effect } from "effect"

await Effect.runPromise(locateLibrary())
await import("./simulator.ts")
