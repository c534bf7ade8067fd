// Goal: gate rows have the rank that was planted, with the share of the variance that was planted, evenly over the directions.
// Method: the eigenvalues of rowsᵀ · rows, found by Jacobi's rotations, beside what rank and noise should give.
import { expect, test } from "bun:test"
import { randomFromSeed } from "@powerinfer/core"
import { gateRows } from "../../bench/planted_gate.ts"
import { NormalPool } from "../../bench/planted_rows.ts"

const constantWidth = 32
const width = 96
const varying = width - constantWidth
const neuronCount = 4096
const spread = 0.125

const rowsOf = (rank: number, lowRankShare: number): ReadonlyArray<Float32Array> => {
  const biases = Float32Array.from({ length: neuronCount }, (_, neuron) => neuron / 8)
  const gate = { rank, lowRankShare, constantWidth, width, spread, biases }
  const fill = gateRows(new NormalPool(1), gate, randomFromSeed(2))
  return Array.from({ length: neuronCount }, (_, neuron) => {
    const row = new Float32Array(width)
    fill(row, neuron)
    return row
  })
}

/** The eigenvalues of the varying channels' second moments, largest first; their sum is the energy of a row. */
const energies = (rows: ReadonlyArray<Float32Array>): ReadonlyArray<number> => {
  const a = Array.from({ length: varying }, (_, i) =>
    Array.from(
      { length: varying },
      (_, j) => rows.reduce((total, row) => total + row[constantWidth + i]! * row[constantWidth + j]!, 0) / rows.length
    )
  )
  for (let sweep = 0; sweep < 10; sweep++) {
    for (let p = 0; p < varying; p++) {
      for (let q = p + 1; q < varying; q++) {
        const angle = Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!) / 2
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
        for (let k = 0; k < varying; k++) {
          const [kp, kq] = [a[k]![p]!, a[k]![q]!]
          a[k]![p] = cos * kp - sin * kq
          a[k]![q] = sin * kp + cos * kq
        }
        for (let k = 0; k < varying; k++) {
          const [pk, qk] = [a[p]![k]!, a[q]![k]!]
          a[p]![k] = cos * pk - sin * qk
          a[q]![k] = sin * pk + cos * qk
        }
      }
    }
  }
  return a.map((row, i) => row[i]!).sort((x, y) => y - x)
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

for (const [rank, lowRankShare] of [
  [12, 0.9],
  [4, 0.7]
] as const) {
  test(`gateRows() put ${lowRankShare} of their variance into ${rank} directions (seeds 1, 2)`, () => {
    const found = energies(rowsOf(rank, lowRankShare))
    const total = sum(found)
    // A direction is a random vector: with few of them in few channels, their lengths scatter by √(2 / (rank · varying)).
    expect(total / (varying * spread ** 2)).toBeGreaterThan(0.8)
    expect(total / (varying * spread ** 2)).toBeLessThan(1.2)
    // The directions also hold their part of the noise.
    const noise = 1 - lowRankShare
    expect(sum(found.slice(0, rank)) / total).toBeCloseTo(lowRankShare + (noise * rank) / varying, 1)
    // A gap after the last of them, and no direction that nobody listens to.
    expect(found[rank]! / total).toBeLessThan((2 * noise) / varying)
    expect(found[rank - 1]! / total).toBeGreaterThan((0.25 * lowRankShare) / rank)
  })
}

test("gateRows() begin with the neuron's bias on every constant channel (seeds 1, 2)", () => {
  const rows = rowsOf(4, 0.9)
  for (const neuron of [0, 1, neuronCount - 1]) {
    const constants = rows[neuron]!.subarray(0, constantWidth)
    expect(constants).toEqual(new Float32Array(constantWidth).fill(neuron / 8))
  }
})
