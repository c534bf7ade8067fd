// Goal: however a plan divides a block, every active neuron is computed exactly once and by the device that holds it.
// Method: random sets and random shares; the parts must be disjoint and add up to the selection (property, seeded).
import { expect, test } from "bun:test"
import { NeuronSet, type PlacementPlan } from "@powerinfer/core"
import { type DeviceNeurons, openDivision } from "../../core/engine/divide.ts"
import { randomFromSeed } from "../../core/sampler/random.ts"

const ffnWidth = 77
const rowCount = 3

const randomPlan = (seed: number): PlacementPlan => {
  const random = randomFromSeed(seed)
  const shares = [new Uint32Array(3), new Uint32Array(3), new Uint32Array(3)]
  for (let neuron = 0; neuron < ffnWidth; neuron++) {
    shares[Math.floor(random.nextUniform() * 3)]![neuron >>> 5]! |= 1 << (neuron & 31)
  }
  return { home: 0, shares: [shares, ["none", "all", "none"]] }
}

const members = (part: DeviceNeurons, row: number): Array<number> => {
  const all = Array.from({ length: ffnWidth }, (_, neuron) => neuron)
  if (part === "none") return []
  return typeof part === "string" ? all : all.filter((neuron) => part.has(row, neuron))
}

for (let seed = 1; seed <= 20; seed++) {
  for (const dense of [true, false]) {
    test(`openDivision() gives every active neuron to exactly one device (seed ${seed}, ${dense ? "all" : "some"} active)`, () => {
      const random = randomFromSeed(seed + 1000)
      const active = new NeuronSet(ffnWidth, rowCount)
      active.reset(rowCount)
      for (let row = 0; row < rowCount; row++) {
        for (let neuron = 0; neuron < ffnWidth; neuron++) if (random.nextUniform() < 0.3) active.add(row, neuron)
      }
      const divide = openDivision(randomPlan(seed), ffnWidth, rowCount)
      const parts: Array<DeviceNeurons> = []
      for (const block of [0, 1]) {
        divide(block, rowCount, dense ? "every" : active, parts)
        for (let row = 0; row < rowCount; row++) {
          const divided = parts.flatMap((part) => members(part, row)).sort((a, b) => a - b)
          expect(divided).toEqual(members(dense ? "every" : active, row))
        }
      }
    })
  }
}

test("openDivision() hands the selection through when one device has everything", () => {
  const active = new NeuronSet(ffnWidth, 1)
  const parts: Array<DeviceNeurons> = []
  openDivision({ home: 0, shares: [["all"]] }, ffnWidth, 1)(0, 1, active, parts)
  expect(parts).toEqual([active])
})
