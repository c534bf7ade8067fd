// Goal: the front holds exactly the choices that no other beats.
// Method: seeded random choices on a coarse grid, so that ties are common, beside the definition: every pair compared.
import { describe, expect, test } from "bun:test"
import { paretoFront, randomFromSeed } from "@powerinfer/core"

interface Choice {
  readonly loss: number
  readonly bytes: number
}

const beats = (one: Choice, other: Choice): boolean =>
  one.loss <= other.loss && one.bytes <= other.bytes && (one.loss < other.loss || one.bytes < other.bytes)

const frontOf = (choices: ReadonlyArray<Choice>) =>
  paretoFront(
    choices,
    ({ loss }) => loss,
    ({ bytes }) => bytes
  )

describe("paretoFront()", () => {
  for (let seed = 1; seed <= 40; seed++) {
    test(`is what no other choice beats (seed ${seed})`, () => {
      const random = randomFromSeed(seed)
      const choices = Array.from({ length: 1 + (random.nextU32() % 30) }, () => ({
        loss: random.nextU32() % 8,
        bytes: random.nextU32() % 8
      }))
      const expected = choices.filter((one) => !choices.some((other) => beats(other, one)))
      expect(frontOf(choices)).toEqual(new Set(expected))
    })
  }

  test("leaves out what has no figure", () => {
    const measured = { loss: 1, bytes: 5 }
    expect(frontOf([measured, { loss: 0, bytes: NaN }])).toEqual(new Set([measured]))
    expect(frontOf([])).toEqual(new Set())
  })
})
