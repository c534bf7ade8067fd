// Goal: typed accessors return what was stored, and tell absent keys from wrong ones.
// Method: one Metadata with a value of each kind.
import { expect, test } from "bun:test"
import { Cause, Effect, Exit } from "effect"
import { attemptGguf, MissingMetadata } from "../../core/gguf/gguf_error.ts"
import { Metadata, type MetadataValue } from "../../core/gguf/metadata.ts"
import { thrownBy } from "./fixture.ts"

const metadata = new Metadata(
  "model.gguf",
  new Map<string, MetadataValue>([
    ["u8", { type: "u8", value: 7 }],
    ["i64", { type: "i64", value: 5_000_000_000 }],
    ["u64", { type: "u64", value: 2n ** 63n }],
    ["negative", { type: "i32", value: -1 }],
    ["f32", { type: "f32", value: 0.5 }],
    ["bool", { type: "bool", value: false }],
    ["string", { type: "string", value: "relu" }],
    ["strings", { type: "string[]", value: ["a", "b"] }],
    ["i32s", { type: "i32[]", value: Int32Array.of(-1, 2) }],
    ["u64s", { type: "u64[]", value: BigUint64Array.of(1n, 2n) }],
    ["hugeU64s", { type: "u64[]", value: BigUint64Array.of(2n ** 60n + 1n) }],
    ["bools", { type: "bool[]", value: Uint8Array.of(1) }]
  ])
)

test("Metadata accessors return stored values of any fitting width", () => {
  expect(metadata.u32("u8")).toBe(7)
  expect(metadata.f32("f32")).toBe(0.5)
  expect(metadata.f32("u8")).toBe(7)
  expect(metadata.bool("bool")).toBe(false)
  expect(metadata.string("string")).toBe("relu")
  expect(metadata.strings("strings")).toEqual(["a", "b"])
  expect(metadata.numbers("i32s")).toEqual(Int32Array.of(-1, 2))
  expect(metadata.numbers("u64s")).toEqual(Float64Array.of(1, 2))
  expect(metadata.has("u8")).toBe(true)
  expect(metadata.get("absent")).toBeUndefined()
  expect([...metadata.entries()]).toHaveLength(12)
})

test("Metadata accessors use the default only where the key is absent", () => {
  expect(metadata.u32("absent", 3)).toBe(3)
  expect(metadata.bool("absent", false)).toBe(false)
  expect(metadata.string("absent", "")).toBe("")
  expect(metadata.bool("bool", true)).toBe(false)
  expect(thrownBy(() => metadata.u32("string", 3))).toMatchObject({ _tag: "InvalidMetadata" })
})

test("Metadata accessors throw MissingMetadata for absent keys", () => {
  expect(thrownBy(() => metadata.u32("absent"))).toMatchObject({
    _tag: "MissingMetadata",
    key: "absent",
    path: "model.gguf"
  })
})

const wrong: ReadonlyArray<readonly [string, () => unknown]> = [
  ["u32 above 2³²", () => metadata.u32("i64")],
  ["u32 of a bigint", () => metadata.u32("u64")],
  ["u32 below zero", () => metadata.u32("negative")],
  ["u32 of a float", () => metadata.u32("f32")],
  ["u32 of a bool", () => metadata.u32("bool")],
  ["f32 of a string", () => metadata.f32("string")],
  ["bool of a number", () => metadata.bool("u8")],
  ["string of strings", () => metadata.string("strings")],
  ["strings of a string", () => metadata.strings("string")],
  ["numbers of strings", () => metadata.numbers("strings")],
  ["numbers of bools", () => metadata.numbers("bools")],
  ["numbers of a number", () => metadata.numbers("u8")],
  ["numbers beyond safe integers", () => metadata.numbers("hugeU64s")]
]
for (const [what, read] of wrong) {
  test(`Metadata refuses ${what}`, () => expect(thrownBy(read)).toMatchObject({ _tag: "InvalidMetadata" }))
}

test("InvalidMetadata says what is stored and what is wanted", () => {
  expect((thrownBy(() => metadata.u32("string")) as Error).message).toBe(
    "Cannot use model.gguf: its metadata key string is string relu; it must be an integer in 0 … 4294967295"
  )
})

test("attemptGguf() succeeds with values, fails with GgufErrors and dies with anything else", () => {
  expect(Effect.runSync(attemptGguf(() => metadata.u32("u8")))).toBe(7)
  expect(Effect.runSync(Effect.flip(attemptGguf(() => metadata.u32("absent"))))).toBeInstanceOf(MissingMetadata)
  const died = Effect.runSyncExit(
    attemptGguf(() => {
      throw new TypeError("a bug")
    })
  )
  expect(Exit.isFailure(died) && Cause.hasDies(died.cause)).toBe(true)
})
