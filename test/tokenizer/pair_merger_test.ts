// Goal: the heap and the linked list merge exactly what the definition of byte-pair encoding merges.
// Method: an oracle that searches the whole word for the best pair before every merge; random tables, seeded.
import { describe, expect, test } from "bun:test"
import { type MergeTable, PairMerger } from "../../core/tokenizer/pair_merger.ts"
import { randomFrom } from "../support/texts.ts"

const symbolCount = 12

/** Any two symbols may merge into any other, at ranks that often collide. */
const randomTable = (random: () => number): MergeTable => {
  const pick = (count: number) => Math.floor(random() * count)
  const merges = new Map<number, number>()
  for (let merge = 0; merge < 40; merge++) merges.set(pick(symbolCount) * symbolCount + pick(symbolCount), merge)
  return {
    find: (left, right) => merges.get(left * symbolCount + right) ?? -1,
    rank: Uint32Array.from({ length: 40 }, () => pick(8)),
    merged: Uint32Array.from({ length: 40 }, () => pick(symbolCount))
  }
}

const mergeByDefinition = (table: MergeTable, word: ReadonlyArray<number>): Array<number> => {
  const symbols = [...word]
  for (;;) {
    let best = { rank: Infinity, at: -1, merge: -1 }
    for (let at = 0; at + 1 < symbols.length; at++) {
      const merge = table.find(symbols[at]!, symbols[at + 1]!)
      if (merge >= 0 && table.rank[merge]! < best.rank) best = { rank: table.rank[merge]!, at, merge }
    }
    if (best.merge < 0) return symbols
    symbols.splice(best.at, 2, table.merged[best.merge]!)
  }
}

describe("PairMerger", () => {
  for (let seed = 1; seed <= 20; seed++) {
    test(`merge() equals the search for the best pair (seed ${seed})`, () => {
      const random = randomFrom(seed)
      const table = randomTable(random)
      const merger = new PairMerger(table)
      for (const length of [0, 1, 2, 3, 7, 40, 200]) {
        const word = Array.from({ length }, () => Math.floor(random() * symbolCount))
        const symbols = Int32Array.from(word)
        const left = merger.merge(symbols, length)
        expect([...symbols.subarray(0, left)]).toEqual(mergeByDefinition(table, word))
      }
    })
  }

  test("merge() gives one result for words below and above the memory it keeps", () => {
    const table: MergeTable = {
      find: (l, r) => (l === 0 && r === 0 ? 0 : -1),
      rank: Uint32Array.of(0),
      merged: Uint32Array.of(1)
    }
    const merger = new PairMerger(table)
    for (const length of [4095, 4096, 4097, 10_001]) {
      const symbols = new Int32Array(length)
      const left = merger.merge(symbols, length)
      expect(left).toBe(Math.ceil(length / 2))
      expect(symbols.subarray(0, left).every((symbol, i) => symbol === (2 * i + 1 < length ? 1 : 0))).toBe(true)
    }
  })
})
