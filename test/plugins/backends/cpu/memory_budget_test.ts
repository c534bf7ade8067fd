// Goal: what is reserved counts until its scope closes, and a refusal reserves nothing.
import { expect, test } from "bun:test"
import { Effect } from "effect"
import { openMemoryBudget } from "../../../../plugins/backends/cpu/memory_budget.ts"

test("reserve() takes from the budget until its scope closes", () => {
  const budget = openMemoryBudget(100)
  Effect.runSync(
    Effect.scoped(
      Effect.tap(budget.reserve("weights", 60), () => Effect.sync(() => expect(budget.availableBytes()).toBe(40)))
    )
  )
  expect(budget.availableBytes()).toBe(100)
})

test("reserve() refuses what does not fit, says what is left, and takes nothing", () => {
  const budget = openMemoryBudget(100)
  const refused = Effect.gen(function* () {
    yield* budget.reserve("weights", 60)
    return yield* Effect.flip(budget.reserve("a KV cache", 41))
  })
  expect(Effect.runSync(Effect.scoped(refused))).toMatchObject({
    _tag: "NotEnoughMemory",
    purpose: "a KV cache",
    neededBytes: 41,
    availableBytes: 40
  })
  expect(budget.availableBytes()).toBe(100)
})
