// Goal: calling C through the adapter passes every argument type unchanged, and what cannot work is an error, never a crash.
// Method: a library of a few functions that hand their arguments back, compiled here.
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { NativeLibraryError, openLibrary } from "../../core/native/library.ts"
import { abiVersion, checkAbiVersion } from "../../core/native/powerinfer.ts"
import { compileLibrary, compiler, scratch } from "./tiny_library.ts"

const directory = scratch("library")
const failureOf = <A>(effect: Effect.Effect<A, NativeLibraryError, Scope.Scope>) =>
  Effect.runSync(Effect.scoped(Effect.flip(effect)))

const echoDefinitions = {
  same_u32: { args: ["u32"], ret: "u32" },
  same_i32: { args: ["i32"], ret: "i32" },
  sum: { args: ["f32", "f64"], ret: "f64" },
  is_null: { args: ["buf"], ret: "u32" },
  add_one: { args: ["buf", "u32"], ret: "void" }
} as const

const echoSource = `
#include <stddef.h>
#include <stdint.h>
uint32_t same_u32(uint32_t x) { return x; }
int32_t same_i32(int32_t x) { return x; }
double sum(float x, double y) { return x + y; }
uint32_t is_null(const void* p) { return p == NULL; }
void add_one(uint8_t* bytes, uint32_t count) { for (uint32_t i = 0; i < count; i++) bytes[i]++; }
`

describe.skipIf(compiler === null)("openLibrary", () => {
  const path = compiler === null ? "" : compileLibrary(directory, "echo", echoSource)
  const withEcho = <A>(use: (symbols: Effect.Success<ReturnType<typeof openEcho>>) => A): A =>
    Effect.runSync(Effect.scoped(Effect.map(openEcho(), use)))
  const openEcho = () => openLibrary(path, echoDefinitions)

  test.each([0, 1, 2 ** 31, 2 ** 32 - 1])("passes the u32 %p and back", (value) => {
    expect(withEcho((symbols) => symbols.same_u32(value))).toBe(value)
  })
  test.each([0, -1, -(2 ** 31), 2 ** 31 - 1])("passes the i32 %p and back", (value) => {
    expect(withEcho((symbols) => symbols.same_i32(value))).toBe(value)
  })
  test("passes an f64 beyond 2^32 and an f32 in one call", () => {
    expect(withEcho((symbols) => symbols.sum(0.5, 2 ** 52))).toBe(2 ** 52 + 0.5)
  })
  test("passes null as NULL, and a typed array, even an empty one, as something else", () => {
    const views = [
      null,
      new Uint8Array(1),
      new Float32Array(new ArrayBuffer(8)),
      new DataView(new ArrayBuffer(1)),
      new Uint8Array(0)
    ]
    expect(withEcho((symbols) => views.map((view) => symbols.is_null(view)))).toEqual([1, 0, 0, 0, 0])
  })
  test("lets C write into a view at its offset", () => {
    const bytes = new Uint8Array(new ArrayBuffer(8))
    withEcho((symbols) => symbols.add_one(bytes.subarray(2), 3))
    expect([...bytes]).toEqual([0, 0, 1, 1, 1, 0, 0, 0])
  })

  test("makes every symbol throw once its scope has closed", () => {
    const scope = Scope.makeUnsafe()
    const symbols = Effect.runSync(Scope.provide(openEcho(), scope))
    expect(symbols.same_u32(7)).toBe(7)
    Effect.runSync(Scope.close(scope, Exit.void))
    expect(() => symbols.same_u32(7)).toThrow(`Cannot call same_u32: its library ${path} has been closed`)
    expect(() => symbols.is_null(null)).toThrow("is_null")
  })
  test("leaves a function that was taken out of the symbols callable after the scope", () => {
    const same = withEcho((symbols) => symbols.same_u32)
    expect(same(7)).toBe(7)
  })
  test("refuses a symbol that the library lacks, by its name", () => {
    const failure = failureOf(openLibrary(path, { absent_function: { args: [], ret: "u32" } }))
    expect(failure).toBeInstanceOf(NativeLibraryError)
    expect(failure.message).toContain("absent_function")
  })
})

describe("openLibrary", () => {
  test("says which file is missing", () => {
    const path = join(directory, "absent.so")
    const failure = failureOf(openLibrary(path, echoDefinitions))
    expect(failure).toMatchObject({ _tag: "NativeLibraryError", path })
    expect(failure.message).toStartWith(`Cannot load the native library ${path}: `)
  })
  test("refuses a file that is no library", () => {
    expect(failureOf(openLibrary(import.meta.path, echoDefinitions)).reason).toMatch(/ELF|mach-o/i)
  })
})

const libraryOfVersion = (version: number) =>
  compileLibrary(directory, `abi${version}`, `unsigned powerinfer_abi_version(void) { return ${version}u; }`)

describe.skipIf(compiler === null)("checkAbiVersion", () => {
  test("accepts a library of our version", () => {
    expect(Effect.runSync(checkAbiVersion(libraryOfVersion(abiVersion)))).toBeUndefined()
  })
  test("says that a library of an older version is to be updated", () => {
    const failure = failureOf(checkAbiVersion(libraryOfVersion(abiVersion - 1)))
    expect(failure.reason).toBe(
      `it speaks version ${abiVersion - 1} of powerinfer.h, this engine version ${abiVersion}`
    )
    expect(failure.remedy).toContain("update the library")
  })
  test("says that the engine is to be updated when the library is newer", () => {
    expect(failureOf(checkAbiVersion(libraryOfVersion(abiVersion + 1))).remedy).toContain("update the engine")
  })
  test("refuses a library that is not ours", () => {
    const foreign = compileLibrary(directory, "foreign", "int answer(void) { return 42; }")
    expect(failureOf(checkAbiVersion(foreign)).reason).toContain("powerinfer_abi_version")
  })
})
