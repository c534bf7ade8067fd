// Goal: intervals are those of the data and of nothing else.
// Method: data whose interval is known (constant), seeds, and means of coin throws beside the normal approximation.
import { expect, test } from "bun:test"
import { bootstrap, quantile, randomFromSeed } from "@powerinfer/core"

const mean = { mean: ({ sum, count }: { sum: number; count: number }) => sum / count }
const seed = 7

test("bootstrap() gives constant data an interval of no width", () => {
  const windows = Array.from({ length: 9 }, () => ({ sum: 3, count: 4 }))
  expect(bootstrap(windows, mean, { seed }).mean).toEqual({ value: 0.75, low: 0.75, high: 0.75 })
})

test("bootstrap() gives one window the value itself", () => {
  expect(bootstrap([{ sum: 1, count: 2 }], mean, { seed }).mean).toEqual({ value: 0.5, low: 0.5, high: 0.5 })
})

const random = randomFromSeed(3)
const throws = Array.from({ length: 100 }, () => ({ sum: Number(random.nextUniform() < 0.5), count: 1 }))

test("bootstrap() is the same for a seed, and another for another", () => {
  expect(bootstrap(throws, mean, { seed })).toEqual(bootstrap(throws, mean, { seed }))
  expect(bootstrap(throws, mean, { seed }).mean).not.toEqual(bootstrap(throws, mean, { seed: 8 }).mean)
})

test("bootstrap() of a mean has the width of the normal approximation (seed 3)", () => {
  const { value, low, high } = bootstrap(throws, mean, { seed }).mean
  const halfWidth = 1.96 * Math.sqrt((value * (1 - value)) / throws.length)
  // 1000 draws know their 2.5% points to about 5% of the width; sums of 100 throws come in steps of 0.01.
  expect(Math.abs(high - value - halfWidth)).toBeLessThan(0.025)
  expect(Math.abs(value - low - halfWidth)).toBeLessThan(0.025)
})

test("bootstrap() weighs windows by their size", () => {
  const windows = [
    { sum: 0, count: 1 },
    { sum: 9, count: 9 }
  ]
  expect(bootstrap(windows, mean, { seed }).mean.value).toBe(0.9)
})

test("quantile() goes in straight lines between values", () => {
  expect(quantile([1, 2, 4], 0.5)).toBe(2)
  expect(quantile([1, 2, 4], 0.75)).toBe(3)
  expect(quantile([5], 0.975)).toBe(5)
})
