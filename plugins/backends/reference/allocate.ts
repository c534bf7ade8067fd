// What happens when JavaScript cannot hold what a device needs?
import { freemem, totalmem } from "node:os"
import { BackendFailure, isGgufError, NotEnoughMemory } from "@powerinfer/core"
import * as Effect from "effect/Effect"

/**
 * Runs code that allocates and may read tensors.
 *
 * - fails  `NotEnoughMemory` if `neededBytes` exceed the machine's memory or an array cannot be had; `BackendFailure` if the
 *          file has become unreadable since the model was described
 * - dies   with anything else
 */
export const attemptAllocation = <A>(
  purpose: string,
  neededBytes: number,
  evaluate: () => A
): Effect.Effect<A, NotEnoughMemory | BackendFailure> =>
  Effect.suspend((): Effect.Effect<A, NotEnoughMemory | BackendFailure> => {
    if (neededBytes > totalmem())
      return Effect.fail(new NotEnoughMemory({ purpose, neededBytes, availableBytes: totalmem() }))
    try {
      return Effect.succeed(evaluate())
    } catch (error) {
      if (isGgufError(error)) return Effect.fail(new BackendFailure({ backend: "reference", reason: error.message }))
      // The only RangeErrors below are those of `new Float32Array`: tensors were read and checked when the model was described.
      if (error instanceof RangeError) {
        return Effect.fail(new NotEnoughMemory({ purpose, neededBytes, availableBytes: freemem() }))
      }
      return Effect.die(error)
    }
  })
