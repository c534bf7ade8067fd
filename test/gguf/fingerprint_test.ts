// Goal: the fingerprint follows content, not names, and stays what it was for artifacts already written.
// Method: copies and changes of a generated file with more tensor data than is sampled.
import { describe, expect, test } from "bun:test"
import { copyFileSync, readFileSync, writeFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { fingerprintGguf } from "../../core/gguf/fingerprint.ts"
import { readGguf } from "../../core/gguf/open.ts"
import { file, inDirectory, randomFrom, tensor, u64 } from "./fixture.ts"

const fingerprint = async (path: string) => fingerprintGguf(await Effect.runPromise(readGguf(path)))
const golden = (name: string) => `${import.meta.dir}/../golden/gguf/${name}`
const dataBytes = 1 << 20
const random = randomFrom(5)
const model = file({
  tensors: [tensor("t", [dataBytes / 4], 0, 0)],
  data: Uint8Array.from({ length: dataBytes }, () => random() * 256)
})

describe("fingerprintGguf", () => {
  test("is SHA-256 over size, header and 64 even samples of 4 KiB", () =>
    inDirectory(async (path) => {
      writeFileSync(path("model.gguf"), model)
      const hash = createHash("sha256").update(u64(model.length)).update(model.subarray(0, -dataBytes))
      for (let i = 0; i < 64; i++) {
        const start = model.length - dataBytes + Math.floor((i * (dataBytes - 4096)) / 63)
        hash.update(model.subarray(start, start + 4096))
      }
      expect(await fingerprint(path("model.gguf"))).toBe(hash.digest("hex"))
    }))

  test("hashes all of a small file, and all parts of a split one", () =>
    inDirectory(async (path) => {
      const hash = createHash("sha256")
      for (const number of [1, 2, 3]) {
        const name = `split-0000${number}-of-00003.gguf`
        copyFileSync(golden(name), path(name))
        hash.update(u64(readFileSync(golden(name)).length)).update(readFileSync(golden(name)))
      }
      expect(await fingerprint(path("split-00002-of-00003.gguf"))).toBe(hash.digest("hex"))
    }))

  test("keeps with the name and changes with header, first and last byte of data, and length", () =>
    inDirectory(async (path) => {
      const seen = new Set<string>()
      const changed = (at: number) => {
        const bytes = model.slice()
        bytes[at]! ^= 1
        return bytes
      }
      const longer = new Uint8Array(model.length + 1)
      longer.set(model)
      const variants = [model, changed(model.length - 1), changed(model.length - dataBytes), changed(32), longer]
      for (const bytes of variants) {
        writeFileSync(path("model.gguf"), bytes)
        copyFileSync(path("model.gguf"), path("copy.gguf"))
        const found = await fingerprint(path("model.gguf"))
        expect(await fingerprint(path("copy.gguf"))).toBe(found)
        seen.add(found)
      }
      expect(seen.size).toBe(variants.length)
    }))
})
