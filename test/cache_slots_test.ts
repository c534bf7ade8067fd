// Goal: a cache keeps its slot as long as it is asked for, and who has not been asked for longest makes room.
// Method: seeded requests against a list in the order of use.
import { expect, test } from "bun:test"
import { CacheSlots } from "@powerinfer/core"
import { randomFromSeed } from "../core/sampler/random.ts"

for (let seed = 1; seed <= 10; seed++) {
  test(`slotOf() keeps those that were used last (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const slotCount = 1 + (seed % 4)
    const forgotten: Array<number> = []
    const slots = new CacheSlots(slotCount, (slot) => forgotten.push(slot))
    let inUse: ReadonlyArray<{ readonly cache: number; readonly slot: number }> = []
    for (let request = 0; request < 200; request++) {
      const cache = random.nextU32() % 6
      forgotten.length = 0
      const slot = slots.slotOf(cache)
      const known = inUse.find((one) => one.cache === cache)
      expect(slot).toBe(known?.slot ?? slot)
      expect(forgotten).toEqual(known ? [] : [slot])
      const others = inUse.filter((one) => one.cache !== cache)
      expect(others.slice(0, slotCount - 1).map((one) => one.slot)).not.toContain(slot)
      inUse = [{ cache, slot }, ...others].slice(0, slotCount)
    }
  })
}
