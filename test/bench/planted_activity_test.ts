// Goal: the power law has the mean and the concentration that it was asked for, and says when none has.
// Method: the two sums of the shares, for block widths of tests and of real models.
import { describe, expect, test } from "bun:test"
import { firingShares, impossibleActivity, shareMax } from "../../bench/planted_activity.ts"

const sum = (shares: Float64Array): number => shares.reduce((total, share) => total + share, 0)

describe("firingShares()", () => {
  for (const [neuronCount, activeShare, hotNeurons, hotShare] of [
    [768, 0.1, 0.2, 0.8],
    [11008, 0.11, 0.2, 0.8],
    [1000, 0.02, 0.1, 0.95],
    [1000, 0.5, 0.5, 0.9],
    [1000, 0.3, 0.2, 0.2]
  ] as const) {
    test(`makes the hottest ${hotNeurons} of ${neuronCount} neurons do ${hotShare} of a firing of ${activeShare}`, () => {
      const shares = firingShares(neuronCount, { activeShare, hotNeurons, hotShare })
      expect(sum(shares) / neuronCount).toBeCloseTo(activeShare, 6)
      expect(sum(shares.subarray(0, Math.round(hotNeurons * neuronCount))) / sum(shares)).toBeCloseTo(hotShare, 4)
      expect(shares[0]).toBeLessThanOrEqual(shareMax)
      expect(shares).toEqual(shares.toSorted((a, b) => b - a))
    })
  }

  test("is a power law below its cut", () => {
    const shares = firingShares(8192, { activeShare: 0.1, hotNeurons: 0.2, hotShare: 0.8 })
    const slope = (rank: number) =>
      Math.log(shares[rank]! / shares[2 * rank]!) / Math.log((2 * rank + 0.5) / (rank + 0.5))
    expect(shares[0]).toBe(shareMax)
    expect(slope(512)).toBeCloseTo(slope(2048), 6)
  })

  test("refuses what no neuron can do", () => {
    expect(() => firingShares(100, { activeShare: 0.3, hotNeurons: 0.2, hotShare: 0.8 })).toThrow(RangeError)
    expect(impossibleActivity({ activeShare: 0.1, hotNeurons: 0.2, hotShare: 0.1 })).toContain("less than their part")
    expect(impossibleActivity({ activeShare: 0.1, hotNeurons: 0.2, hotShare: 0.8 })).toBeUndefined()
  })
})
