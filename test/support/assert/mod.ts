// How do tests and examples assert, when jsr:@std/assert cannot be fetched?
// The same names and signatures as the module that deno.json maps to JSR, on node:assert. Only the dozen in ordinary use.
import nodeAssert, { AssertionError } from "node:assert"
import { inspect } from "node:util"

export { AssertionError }

/** A class of errors, also an abstract one. */
type ErrorClass<E extends Error> = abstract new (...args: ReadonlyArray<never>) => E

const suffix = (message?: string): string => (message ? `: ${message}` : "")

const failWith = (message: string): never => {
  throw new AssertionError({ message })
}

const isEqual = (actual: unknown, expected: unknown): boolean => {
  try {
    nodeAssert.deepStrictEqual(actual, expected)
    return true
  } catch {
    return false
  }
}

/** Fails unless `condition` is truthy. */
export function assert(condition: unknown, message = ""): asserts condition {
  if (!condition) throw new AssertionError({ message })
}

/** Fails unless `condition` is falsy. */
export function assertFalse(condition: unknown, message = "Expected a falsy value"): void {
  if (condition) failWith(message)
}

/** Fails always. */
export function fail(message?: string): never {
  throw new AssertionError({ message: `Failed assertion${message ? `: ${message}` : "."}` })
}

/** Fails unless both are deeply equal, types included. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (isEqual(actual, expected)) return
  failWith(`Values are not equal${suffix(message)}\n${inspect({ actual, expected })}`)
}

/** Fails when both are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  if (isEqual(actual, expected))
    failWith(`Expected actual and expected to differ${suffix(message)}\n${inspect(actual)}`)
}

/** Fails unless both are the same value under `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  if (Object.is(actual, expected)) return
  failWith(`Values are not strictly equal${suffix(message)}\n${inspect({ actual, expected })}`)
}

/** Fails on null and undefined. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) failWith(`Expected a value, got ${actual}${suffix(message)}`)
}

/** Fails unless the numbers differ by at most `tolerance` (default: 1e-7 of the expected value). NaN equals NaN. */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, message?: string): void {
  if (Object.is(actual, expected)) return
  const limit = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7)
  const difference = Math.abs(expected - actual)
  if (difference <= limit) return
  failWith(`Expected ${actual} to be within ${limit} of ${expected}, it is ${difference} away${suffix(message)}`)
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (!actual.includes(expected)) failWith(`Expected "${actual}" to contain "${expected}"${suffix(message)}`)
}

/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  if (!expected.test(actual)) failWith(`Expected "${actual}" to match ${expected}${suffix(message)}`)
}

/** Fails unless every item of `expected` deeply equals some item of `actual`. */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, message?: string): void {
  const missing = Array.from(expected).filter((wanted) => !Array.from(actual).some((item) => isEqual(item, wanted)))
  if (missing.length > 0) failWith(`Expected the array to include ${inspect(missing)}${suffix(message)}`)
}

/** Fails unless `actual` is an instance of `expectedType`. */
export function assertInstanceOf<T extends abstract new (...args: ReadonlyArray<never>) => unknown>(
  actual: unknown,
  expectedType: T,
  message?: string
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return
  failWith(`Expected an instance of ${expectedType.name}, got ${inspect(actual)}${suffix(message)}`)
}

/** Fails unless `error` is an Error, of the class if given, whose message contains `messageIncludes` if given. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string | RegExp,
  message?: string
): asserts error is E {
  if (!(error instanceof Error)) return failWith(`Expected an Error, got ${inspect(error)}${suffix(message)}`)
  if (errorClass && !(error instanceof errorClass)) {
    failWith(`Expected an error of ${errorClass.name}, got ${error.constructor.name}${suffix(message)}`)
  }
  if (messageIncludes === undefined) return
  const matches =
    typeof messageIncludes === "string" ? error.message.includes(messageIncludes) : messageIncludes.test(error.message)
  if (!matches)
    failWith(`Expected the error "${error.message}" to include ${inspect(messageIncludes)}${suffix(message)}`)
}

/** Fails unless `callback` throws an Error that `assertIsError` accepts; returns it. Without a class, anything thrown will do. */
export function assertThrows(callback: () => unknown, message?: string): unknown
export function assertThrows<E extends Error = Error>(
  callback: () => unknown,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
  message?: string
): E
export function assertThrows(callback: () => unknown, ...expectation: Expectation): unknown {
  let thrown: unknown
  try {
    callback()
  } catch (error) {
    thrown = error
    return checkThrown(thrown, expectation)
  }
  return failWith(`Expected the function to throw${suffix(messageOf(expectation))}`)
}

/** Fails unless `callback` returns a promise that rejects as `assertThrows` wants; resolves to the error. */
export function assertRejects(callback: () => PromiseLike<unknown>, message?: string): Promise<unknown>
export function assertRejects<E extends Error = Error>(
  callback: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
  message?: string
): Promise<E>
export async function assertRejects(
  callback: () => PromiseLike<unknown>,
  ...expectation: Expectation
): Promise<unknown> {
  let promise: PromiseLike<unknown>
  try {
    promise = callback()
  } catch {
    return failWith(`Expected a rejection, but the function threw${suffix(messageOf(expectation))}`)
  }
  try {
    await promise
  } catch (error) {
    return checkThrown(error, expectation)
  }
  return failWith(`Expected the function to reject${suffix(messageOf(expectation))}`)
}

type Expectation = [errorClassOrMessage?: ErrorClass<Error> | string, messageIncludes?: string, message?: string]

const messageOf = ([first, , message]: Expectation): string | undefined => (typeof first === "string" ? first : message)

const checkThrown = (thrown: unknown, [first, messageIncludes, message]: Expectation): unknown => {
  if (typeof first === "function") assertIsError(thrown, first, messageIncludes, message)
  return thrown
}
