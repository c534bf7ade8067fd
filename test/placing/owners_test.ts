// Goal: owners, shares and counts say the same.
// Method: random owners at widths around the words of a bitset, there and back, through checkPlan.
import { expect, test } from "bun:test"
import { checkPlan, countOwned, ownersOf, randomFromSeed, sharesOf } from "@powerinfer/core"
import { Effect } from "effect"

for (const ffnWidth of [1, 31, 32, 33, 64, 65]) {
  test(`sharesOf() and ownersOf() undo each other for ${ffnWidth} neurons (seed ${ffnWidth})`, async () => {
    const random = randomFromSeed(ffnWidth)
    const owners = Array.from({ length: 4 }, (_, block) =>
      Uint8Array.from({ length: ffnWidth }, () => (block === 0 ? 2 : Math.floor(random.nextUniform() * 3)))
    )
    const plan = { home: 0, shares: sharesOf(owners, 3) }
    await Effect.runPromise(checkPlan(plan, { blockCount: 4, ffnWidth }, 3))
    expect(plan.shares[0]).toEqual(["none", "none", "all"])
    expect(ownersOf(plan, ffnWidth)).toEqual(owners)
    for (const block of owners) expect(countOwned(block, 3).reduce((sum, count) => sum + count)).toBe(ffnWidth)
  })
}
