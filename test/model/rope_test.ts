// Goal: inverseFrequencies() is base^(−2i/width) with both kinds of scaling.
// Method: values by hand for a width of 4 and 8.
import { expect, test } from "bun:test"
import { inverseFrequencies } from "@powerinfer/core"

const positions = { kind: "rope", style: "halves", width: 4, baseFrequency: 10_000, linearFactor: 1 } as const

test("inverseFrequencies() falls from 1 by the base's root", () => {
  expect([...inverseFrequencies(positions)]).toEqual([1, Math.fround(0.01)])
  const wide = inverseFrequencies({ ...positions, width: 8, baseFrequency: 16 })
  expect([...wide]).toEqual([1, 0.5, 0.25, 0.125])
})

test("inverseFrequencies() divides by the linear factor and by each pair's own", () => {
  const scaled = inverseFrequencies({ ...positions, linearFactor: 2 }, Float32Array.of(1, 8))
  expect([...scaled]).toEqual([0.5, Math.fround(0.01 / 16)])
})

test("inverseFrequencies() is empty for learned positions", () => {
  expect(inverseFrequencies({ kind: "learned", offset: 2 }).length).toBe(0)
})
