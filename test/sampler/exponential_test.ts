// Goal: our e^x is as good as the engine's and never depends on the machine.
// Method: against Math.exp (itself within 1 ulp), exact at 0 and at the ends, and a pinned hash over many arguments, the same in
// JavaScriptCore and V8.
import { expect, test } from "bun:test"
import { expOfNonPositive } from "../../core/sampler/exponential.ts"
import { randomFromSeed } from "../../core/sampler/random.ts"

test("expOfNonPositive() is within 4 ulp of Math.exp (seed 1)", () => {
  const random = randomFromSeed(1)
  for (let i = 0; i < 200_000; i++) {
    const scale = [1e-9, 1, 30, 708][i % 4]!
    const x = -scale * random.nextUniform()
    const expected = Math.exp(x)
    expect(Math.abs(expOfNonPositive(x) - expected) / expected).toBeLessThan(4 * Number.EPSILON)
  }
})

test("expOfNonPositive() is exact where the answer is known", () => {
  expect(expOfNonPositive(0)).toBe(1)
  expect(expOfNonPositive(-0)).toBe(1)
  expect(expOfNonPositive(-Infinity)).toBe(0)
  expect(expOfNonPositive(-709)).toBe(0)
  expect(expOfNonPositive(-708)).toBeGreaterThan(0)
  expect(expOfNonPositive(-5e-324)).toBe(1)
})

test("expOfNonPositive() never decreases between neighbouring arguments across its reductions", () => {
  let previous = 0
  for (let x = -40; x <= 0; x += 1 / 1024) {
    const value = expOfNonPositive(x)
    expect(value).toBeGreaterThan(previous)
    previous = value
  }
})

test("expOfNonPositive() has the same bits on every machine (seed 2)", () => {
  const random = randomFromSeed(2)
  const values = Float64Array.from({ length: 10_000 }, () => expOfNonPositive(-40 * random.nextUniform()))
  expect(new Bun.CryptoHasher("sha256").update(values).digest("hex")).toBe(
    "e1666c05c3c4036847c3f17b95aac462db44abedebe45452e0504e356067de65"
  )
})
