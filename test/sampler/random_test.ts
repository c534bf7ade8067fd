// Goal: the generator is the published one, so that a seed means the same sequence everywhere.
// Method: the vectors of the publications, then the shape of what is built on top of them.
import { expect, test } from "bun:test"
import { randomFromSeed, randomFromState, splitMix64 } from "../../core/sampler/random.ts"

test("randomFromState() gives the reference outputs of xoshiro128** 1.1 for the state 1, 2, 3, 4", () => {
  // The vector that the Rust crate rand_xoshiro took from the authors' C file.
  const random = randomFromState([1, 2, 3, 4])
  expect(Array.from({ length: 10 }, random.nextU32)).toEqual([
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804
  ])
})

test("splitMix64() gives the reference outputs for the seed 1234567", () => {
  const next = splitMix64(1234567n)
  expect(Array.from({ length: 5 }, next)).toEqual([
    6457827717110365317n,
    3203168211198807973n,
    9817491932198370423n,
    4593380528125082431n,
    16408922859458223821n
  ])
})

test("randomFromSeed() fills the state with two SplitMix64 words, low half first", () => {
  // SplitMix64 of seed 0 starts with e220a8397b1dcdaf, 6e789e6aa1b965f4.
  const expected = randomFromState([0x7b1dcdaf, 0xe220a839, 0xa1b965f4, 0x6e789e6a])
  const random = randomFromSeed(0)
  for (let i = 0; i < 100; i++) expect(random.nextU32()).toBe(expected.nextU32())
})

test("nextUniform() joins two words into 53 bits, high bits first", () => {
  const words = randomFromSeed(7)
  const random = randomFromSeed(7)
  for (let i = 0; i < 1000; i++) {
    const high = BigInt(words.nextU32()) >> 5n
    const low = BigInt(words.nextU32()) >> 6n
    expect(random.nextUniform()).toBe(Number((high << 26n) | low) / Number(1n << 53n))
  }
})

test("randomFromSeed() gives unrelated sequences for neighbouring seeds", () => {
  const firsts = Array.from({ length: 1000 }, (_, seed) => randomFromSeed(seed).nextUniform())
  expect(new Set(firsts).size).toBe(1000)
  const mean = firsts.reduce((sum, value) => sum + value, 0) / firsts.length
  // Four standard deviations of the mean of 1000 uniform numbers: 4 / sqrt(12 * 1000).
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.0366)
})
