// Does what is about to be allocated fit?
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { NotEnoughMemory } from "@powerinfer/core"

/** Bytes that one device may use. What is reserved is given back when its scope closes. */
export interface MemoryBudget {
  readonly availableBytes: () => number
  /** `remedy`: what the caller can do if it does not fit, where that is not what helps everywhere. */
  readonly reserve: (
    purpose: string,
    neededBytes: number,
    remedy?: string
  ) => Effect.Effect<void, NotEnoughMemory, Scope.Scope>
}

/**
 * A budget of `limitBytes`. Counted here and not asked of the system each time: memory that nobody has touched yet still looks free to it, and
 * a KV cache is touched little by little.
 */
export const openMemoryBudget = (limitBytes: number): MemoryBudget => {
  let reservedBytes = 0
  const availableBytes = () => Math.max(0, limitBytes - reservedBytes)
  const reserve: MemoryBudget["reserve"] = (purpose, neededBytes, remedy) =>
    Effect.asVoid(
      Effect.acquireRelease(
        Effect.suspend(() => {
          if (neededBytes > availableBytes()) {
            const wanted = { purpose, neededBytes, availableBytes: availableBytes() }
            return Effect.fail(new NotEnoughMemory({ ...wanted, ...(remedy !== undefined && { remedy }) }))
          }
          reservedBytes += neededBytes
          return Effect.void
        }),
        () => Effect.sync(() => void (reservedBytes -= neededBytes))
      )
    )
  return { availableBytes, reserve }
}
