// Where do random numbers come from, so that a seed names one sequence on every machine?

/** A seeded sequence. Every call moves it on by one or two words. */
export interface Random {
  /** The next word, an integer from 0 to 2^32 - 1. */
  nextU32(): number
  /** The next number from 0 (included) to 1 (excluded), a multiple of 2^-53. Takes two words. */
  nextUniform(): number
}

/**
 * xoshiro128** 1.1 from a full state of four 32-bit words, not all of them zero.
 *
 * - source  Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c
 */
export const randomFromState = (state: readonly [number, number, number, number]): Random => {
  let [s0, s1, s2, s3] = state

  const nextU32 = () => {
    const word = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0
    const shifted = s1 << 9
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = rotateLeft(s3, 11)
    return word
  }

  const nextUniform = () => {
    const high = nextU32() >>> 5
    const low = nextU32() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  return { nextU32, nextUniform }
}

/** The sequence that belongs to `seed`, an integer from 0 to 2^32 - 1. The state is filled by SplitMix64, as the generator's authors advise. */
export const randomFromSeed = (seed: number): Random => {
  const next = splitMix64(BigInt(seed))
  const [first, second] = [next(), next()]
  return randomFromState([lowHalf(first), highHalf(first), lowHalf(second), highHalf(second)])
}

/** SplitMix64, whose outputs are well mixed for any seed, also 0. Source: https://prng.di.unimi.it/splitmix64.c */
export const splitMix64 = (seed: bigint): (() => bigint) => {
  let state = seed
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n)
    let mixed = state
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    return mixed ^ (mixed >> 31n)
  }
}

const lowHalf = (word: bigint): number => Number(word & 0xffff_ffffn)
const highHalf = (word: bigint): number => Number(word >> 32n)

const rotateLeft = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))
