// Goal: speeds are measured once and kept; another driver or library is measured anew, and a damaged file is as good as none.
// Method: a cache folder of the test's own, and files that stand for libraries.
import { afterAll, beforeEach, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { keepSpeed, knownSpeed, speedKey } from "@powerinfer/core"
import { Effect } from "effect"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-speeds-"))
const library = join(folder, "library.so")
writeFileSync(library, "a library")
const before = process.env["XDG_CACHE_HOME"]
beforeEach(() => {
  process.env["XDG_CACHE_HOME"] = mkdtempSync(join(folder, "cache-"))
})
afterAll(() => {
  if (before === undefined) delete process.env["XDG_CACHE_HOME"]
  else process.env["XDG_CACHE_HOME"] = before
  rmSync(folder, { recursive: true })
})

const key = speedKey({ name: "a GPU", driver: 13000, library })
const speed = { bandwidthBytesPerSecond: 3e12, handOffSeconds: 2e-5 }
const kept = () => join(process.env["XDG_CACHE_HOME"]!, "powerinfer")

test("knownSpeed() knows what keepSpeed() kept, and nothing else", async () => {
  expect(knownSpeed(key)).toBeUndefined()
  await Effect.runPromise(keepSpeed("another", { bandwidthBytesPerSecond: 1e10 }))
  await Effect.runPromise(keepSpeed(key, speed))
  expect(knownSpeed(key)).toEqual(speed)
  expect(knownSpeed("another")).toEqual({ bandwidthBytesPerSecond: 1e10 })
  expect(readdirSync(kept())).toEqual(["device_speeds.json"])
})

test("knownSpeed() knows nothing of a file that is damaged, and keepSpeed() replaces it", async () => {
  await Effect.runPromise(keepSpeed(key, speed))
  writeFileSync(join(kept(), "device_speeds.json"), '{"a GPU": {"bandwidthBytesPerSecond": -1}}')
  expect(knownSpeed(key)).toBeUndefined()
  await Effect.runPromise(keepSpeed(key, speed))
  expect(knownSpeed(key)).toEqual(speed)
})

test("keepSpeed() goes on where nothing can be written", async () => {
  process.env["XDG_CACHE_HOME"] = library
  await Effect.runPromise(keepSpeed(key, speed))
  expect(knownSpeed(key)).toBeUndefined()
})

test("speedKey() tells drivers, devices and builds of a library apart", () => {
  const keyOf = (changed: object) => speedKey({ name: "a GPU", driver: 13000, library, ...changed })
  const built = keyOf({})
  utimesSync(library, 1, 1)
  const keys = [built, keyOf({}), keyOf({ driver: 12080 }), keyOf({ name: "another" })]
  expect(new Set(keys).size).toBe(4)
})
