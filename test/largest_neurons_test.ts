// Goal: the k-th largest of many numbers is that of sorting them, in time that no order of theirs can spoil.
// Method: seeded numbers, many of them equal, against sorting; then the orders that break a careless search.
import { expect, test } from "bun:test"
import { kthLargest } from "@powerinfer/core"
import { randomFromSeed } from "../core/sampler/random.ts"

for (let seed = 1; seed <= 30; seed++) {
  test(`kthLargest() equals sorting, for every k (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const values = Float32Array.from({ length: 1 + (seed % 40) }, () => random.nextU32() % (seed % 2 === 0 ? 5 : 1000))
    const sorted = values.toSorted().toReversed()
    for (let k = 1; k <= values.length; k++) expect(kthLargest(values.slice(), values.length, k)).toBe(sorted[k - 1]!)
  })
}

test("kthLargest() ends on sorted, reversed and constant values, and on NaN", () => {
  const ascending = Float32Array.from({ length: 1000 }, (_, i) => i)
  expect(kthLargest(ascending.slice(), 1000, 10)).toBe(990)
  expect(kthLargest(ascending.toReversed(), 1000, 10)).toBe(990)
  expect(kthLargest(new Float32Array(1000).fill(3), 1000, 500)).toBe(3)
  kthLargest(new Float32Array(1000).fill(Number.NaN), 1000, 500)
})
