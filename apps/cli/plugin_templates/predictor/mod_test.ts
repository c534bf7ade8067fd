// Goal: the predictor keeps the contract of every predictor, and names the neurons that it says it names.
import { expect, test } from "bun:test"
import { predictorContract } from "@powerinfer/core/testing"
import plugin from "./mod.ts"
import { differingBits, signBits } from "./signs.ts"

predictorContract({ test, plugin })
predictorContract({ test, plugin, options: { agreement: 0 } })

for (const width of [1, 31, 32, 70, 992, 993, 4096]) {
  test(`signBits() and differingBits() count the places where two signs of ${width} differ`, () => {
    const row = Float32Array.from({ length: width }, (_, i) => (i % 3 === 0 ? 1 : -1))
    const opposite = row.map((value) => -value)
    const [a, b] = [signBits(row, width), signBits(opposite, width)]
    expect(differingBits(a, 0, a, a.length)).toBe(0)
    expect(differingBits(a, 0, b, a.length)).toBe(width)
  })
}
