// Where do tests get a CUDA device on a machine without one? From the simulator, built before any test is timed.
import { locateLibrary, type NativeTarget } from "@powerinfer/core"
import { Effect, Result } from "effect"

const target: NativeTarget = {
  name: "powerinfer_cuda_simulated",
  variable: "POWERINFER_CUDA_SIMULATED_LIBRARY",
  without: ["test", "cuda/check", "cuda/test"],
  tools: []
}

const located = await Effect.runPromise(Effect.result(locateLibrary({ target })))
if (Result.isFailure(located)) console.error(`tests on the CUDA simulator are skipped: ${located.failure.message}`)
// Processes that tests start need not look for it again.
else process.env[target.variable] = located.success.path

/** False where it cannot be built: tests that need it are skipped. */
export const hasSimulator = Result.isSuccess(located)
