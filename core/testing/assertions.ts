// What do contract suites assert with, when they cannot know the test runner?

type Define = (name: string, run: () => Promise<void>) => unknown

/** A runner's way to define a test: `test` of bun:test and of node:test, `Deno.test`. */
export type DefineTest = Define & {
  /** Defines one that is shown and not run. */
  readonly skip?: Define
  /** The same in Deno. */
  readonly ignore?: Define
}

/** Defines tests that are shown as skipped; with a runner that cannot, as ones that pass and say that they were not run. */
export const skipping =
  (test: DefineTest): Define =>
  (name, run) => {
    const skip = test.skip ?? test.ignore
    return skip === undefined ? test(`${name}: not measurable here`, async () => {}) : skip(name, run)
  }

/** Throws an Error with the message unless the condition holds. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}

/** Throws unless every value lies within `tolerance` standard deviations (of `expected`) of what is expected. */
export const checkClose = (actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void => {
  check(actual.length === expected.length, `${what}: ${actual.length} values, expected ${expected.length}`)
  const error = largestError(actual, expected)
  // Written so that a NaN fails.
  if (!(error <= tolerance)) {
    throw new Error(`${what}: the largest error is ${error} standard deviations, at most ${tolerance} are allowed`)
  }
}

/** max |actual − expected| in standard deviations of `expected`; NaN if any value is. Zero spread counts as 1. */
export const largestError = (actual: Float32Array, expected: Float32Array): number => {
  let largest = 0
  let sum = 0
  let squares = 0
  for (let i = 0; i < expected.length; i++) {
    // Math.max hands a NaN on.
    largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!))
    sum += expected[i]!
    squares += expected[i]! ** 2
  }
  const variance = squares / expected.length - (sum / expected.length) ** 2
  return largest / (variance > 0 ? Math.sqrt(variance) : 1)
}
