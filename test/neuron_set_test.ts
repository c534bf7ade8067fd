// Goal: a set names exactly the neurons it was told to, row by row, at widths around word boundaries.
// Method: compared with a JavaScript Set per row over seeded random additions.
import { describe, expect, test } from "bun:test"
import { NeuronSet, randomFromSeed } from "@powerinfer/core"

const neuronsOf = (set: NeuronSet, row: number): Array<number> =>
  Array.from({ length: set.ffnWidth }, (_, neuron) => neuron).filter((neuron) => set.has(row, neuron))

const bitsBeyond = (set: NeuronSet): number => {
  const tail = set.ffnWidth % 32
  if (tail === 0) return 0
  let bits = 0
  for (let row = 1; row <= set.rowCountMax; row++) bits |= set.words[row * set.wordsPerRow - 1]! >>> tail
  return bits
}

describe("NeuronSet", () => {
  for (const ffnWidth of [1, 31, 32, 33, 63, 64, 65, 257]) {
    test(`holds what was added and nothing else, ${ffnWidth} neurons (seed ${ffnWidth})`, () => {
      const random = randomFromSeed(ffnWidth)
      const set = new NeuronSet(ffnWidth, 3)
      for (let round = 0; round < 5; round++) {
        set.reset(3)
        const expected = [new Set<number>(), new Set<number>(), new Set<number>()]
        for (let added = 0; added < ffnWidth; added++) {
          const [row, neuron] = [Math.floor(random.nextUniform() * 3), Math.floor(random.nextUniform() * ffnWidth)]
          set.add(row, neuron)
          expected[row]!.add(neuron)
        }
        for (const [row, neurons] of expected.entries()) {
          expect(neuronsOf(set, row)).toEqual([...neurons].sort((a, b) => a - b))
          expect(set.count(row)).toBe(neurons.size)
        }
        expect(bitsBeyond(set)).toBe(0)
      }
    })

    test(`fill() names all ${ffnWidth} neurons of the rows in use and leaves the bits beyond them alone`, () => {
      const set = new NeuronSet(ffnWidth, 3)
      set.reset(2)
      set.fill()
      expect([0, 1, 2].map((row) => set.count(row))).toEqual([ffnWidth, ffnWidth, 0])
      expect(bitsBeyond(set)).toBe(0)
    })
  }

  test("intersect() keeps the neurons of one device in every row", () => {
    const [set, part] = [new NeuronSet(40, 2), new NeuronSet(40, 2)]
    set.reset(2)
    for (const neuron of [0, 5, 32, 39]) set.add(0, neuron)
    for (const neuron of [5, 6]) set.add(1, neuron)
    part.intersect(set, Uint32Array.of(1 << 5, 1 << 7))
    expect([neuronsOf(part, 0), neuronsOf(part, 1)]).toEqual([[5, 39], [5]])
  })

  test("add() refuses what would touch another row", () => {
    const set = new NeuronSet(40, 2)
    set.reset(1)
    for (const [row, neuron] of [
      [0, 40],
      [0, -1],
      [1, 0],
      [0, Number.NaN]
    ] as const) {
      expect(() => set.add(row, neuron)).toThrow(RangeError)
    }
  })
})
