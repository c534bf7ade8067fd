// Goal: the stand-in accepts and refuses what jsr:@std/assert does, so that a test means the same under Bun and Deno.
// Method: for each function one call that passes and one that throws AssertionError.
import { expect, test } from "bun:test"
import * as std from "@std/assert"

const reject = () => Promise.reject(new TypeError("bad type"))
const raise = () => {
  throw new TypeError("bad type")
}
const nothing = () => undefined

const cases: Readonly<
  Record<string, { readonly passes: () => unknown; readonly fails: ReadonlyArray<() => unknown> }>
> = {
  assert: { passes: () => std.assert(1), fails: [() => std.assert(0), () => std.assert("")] },
  assertFalse: { passes: () => std.assertFalse(0), fails: [() => std.assertFalse(1)] },
  assertEquals: {
    passes: () => std.assertEquals({ a: [1, NaN] }, { a: [1, NaN] }),
    fails: [() => std.assertEquals([1], [2]), () => std.assertEquals<unknown>(1, "1")]
  },
  assertNotEquals: { passes: () => std.assertNotEquals([1], [2]), fails: [() => std.assertNotEquals([1], [1])] },
  assertStrictEquals: {
    passes: () => std.assertStrictEquals(NaN, NaN),
    fails: [() => std.assertStrictEquals([1], [1])]
  },
  assertExists: {
    passes: () => std.assertExists(0),
    fails: [() => std.assertExists(null), () => std.assertExists(undefined)]
  },
  assertAlmostEquals: {
    passes: () => std.assertAlmostEquals(1.00000001, 1),
    fails: [() => std.assertAlmostEquals(1.001, 1), () => std.assertAlmostEquals(NaN, 1)]
  },
  assertStringIncludes: {
    passes: () => std.assertStringIncludes("abc", "b"),
    fails: [() => std.assertStringIncludes("abc", "d")]
  },
  assertMatch: { passes: () => std.assertMatch("abc", /b/), fails: [() => std.assertMatch("abc", /d/)] },
  assertArrayIncludes: {
    passes: () => std.assertArrayIncludes([{ a: 1 }, { a: 2 }], [{ a: 2 }]),
    fails: [() => std.assertArrayIncludes([1], [2])]
  },
  assertInstanceOf: {
    passes: () => std.assertInstanceOf(new Map(), Map),
    fails: [() => std.assertInstanceOf(new Set(), Map)]
  },
  assertIsError: {
    passes: () => std.assertIsError(new TypeError("bad"), TypeError, /b.d/),
    fails: [
      () => std.assertIsError("bad"),
      () => std.assertIsError(new Error("bad"), TypeError),
      () => std.assertIsError(new Error("bad"), Error, "good")
    ]
  },
  assertThrows: {
    passes: () => std.assertThrows(raise, TypeError, "bad"),
    fails: [
      () => std.assertThrows(nothing),
      () => std.assertThrows(raise, RangeError),
      () => std.assertThrows(raise, TypeError, "good")
    ]
  },
  assertRejects: {
    passes: () => std.assertRejects(reject, TypeError, "bad"),
    fails: [
      () => std.assertRejects(() => Promise.resolve()),
      () => std.assertRejects(raise),
      () => std.assertRejects(reject, RangeError),
      () => std.assertRejects(reject, TypeError, "good")
    ]
  },
  fail: { passes: nothing, fails: [() => std.fail(), () => std.fail("why")] }
}

for (const [name, { passes, fails }] of Object.entries(cases)) {
  test(`${name}() passes and fails where it should`, async () => {
    await passes()
    for (const failing of fails) {
      const error = await Promise.try(failing).then(nothing, (thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(std.AssertionError)
    }
  })
}

test("every function of the stand-in has its case", () => {
  const functions = Object.keys(std).filter((name) => name !== "AssertionError")
  expect(functions.sort()).toEqual(Object.keys(cases).sort())
})

test("assertThrows() and assertRejects() give back the error", async () => {
  expect(std.assertThrows(raise, TypeError).message).toBe("bad type")
  expect((await std.assertRejects(reject, TypeError)).message).toBe("bad type")
})
