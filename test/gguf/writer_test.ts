// Goal: what is written is read back unchanged, and a file appears only when it is complete.
// Method: round trips through a temporary directory; a file of gguf-py's rewritten byte for byte.
import { describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { Effect, Exit } from "effect"
import type { MetadataValue } from "../../core/gguf/metadata.ts"
import { readGguf } from "../../core/gguf/open.ts"
import { quantizableTypes, quantize } from "../../core/gguf/quantize.ts"
import { dequantize } from "../../core/gguf/dequantize.ts"
import { readTensor } from "../../core/gguf/read_tensor.ts"
import { type MetadataRow, type TensorToWrite, writeGguf } from "../../core/gguf/writer.ts"
import { inDirectory, randomFrom } from "./fixture.ts"

const run = Effect.runPromise
const rowsOf = (entries: Iterable<[string, MetadataValue]>): Array<MetadataRow> =>
  Array.from(entries, ([key, { type, value }]) => [key, type, value] as MetadataRow)
const random = randomFrom(3)
const values = Float32Array.from({ length: 512 * 600 }, () => random() - 0.5)
const zeros = (name: string, bytes: number): TensorToWrite => ({
  name,
  type: "F32",
  shape: [4],
  chunks: () => [new Uint8Array(bytes)]
})

describe("writeGguf", () => {
  test("rewrites a file of gguf-py byte for byte", () =>
    inDirectory(async (path) => {
      const golden = `${import.meta.dir}/../golden/gguf/little.gguf`
      const bytes = readFileSync(golden)
      const gguf = await run(readGguf(golden))
      const tensors = Array.from(gguf.tensors.values(), ({ name, type, shape, offset, sizeBytes }) => ({
        name,
        type,
        shape,
        chunks: () => [bytes.subarray(offset, offset + sizeBytes)]
      }))
      await run(writeGguf(path("copy.gguf"), { metadata: rowsOf(gguf.metadata.entries()), tensors }))
      expect(readFileSync(path("copy.gguf")).equals(bytes)).toBe(true)
      expect(readdirSync(path("."))).toEqual(["copy.gguf"])
    }))

  for (const version of [2, 3] as const) {
    test(`writes every metadata type so that it is read back (version ${version})`, () =>
      inDirectory(async (path) => {
        const metadata: ReadonlyArray<MetadataRow> = [
          ["u8", "u8", 255],
          ["i8", "i8", -128],
          ["u16", "u16", 65_535],
          ["i16", "i16", -32_768],
          ["u32", "u32", 0xffff_ffff],
          ["i32", "i32", -(2 ** 31)],
          ["u64", "u64", 2n ** 64n - 1n],
          ["i64", "i64", -5],
          ["f32", "f32", 0.5],
          ["f64", "f64", 0.1],
          ["yes", "bool", true],
          ["no", "bool", false],
          ["string", "string", "é\ufeff"],
          ["u8[]", "u8[]", Uint8Array.of(1)],
          ["i8[]", "i8[]", Int8Array.of(-1)],
          ["u16[]", "u16[]", Uint16Array.of(1)],
          ["i16[]", "i16[]", Int16Array.of(-1)],
          ["u32[]", "u32[]", Uint32Array.of(1)],
          ["i32[]", "i32[]", Int32Array.of(-1)],
          ["u64[]", "u64[]", BigUint64Array.of(2n ** 64n - 1n)],
          ["i64[]", "i64[]", BigInt64Array.of(-1n)],
          ["f32[]", "f32[]", Float32Array.of(0.5)],
          ["f64[]", "f64[]", Float64Array.of(0.1, 0.2)],
          ["bool[]", "bool[]", Uint8Array.of(0, 1)],
          ["string[]", "string[]", ["", "a"]],
          [
            "array[]",
            "array[]",
            [
              { type: "array[]", value: [{ type: "string[]", value: ["deep"] }] },
              { type: "i8[]", value: Int8Array.of() }
            ]
          ]
        ]
        await run(writeGguf(path("model.gguf"), { version, magic: "PWRI", alignment: 64, metadata, tensors: [] }))
        const gguf = await run(readGguf(path("model.gguf")))
        expect(gguf).toMatchObject({ version, magic: "PWRI", alignment: 64 })
        expect(rowsOf(gguf.metadata.entries())).toEqual([...metadata, ["general.alignment", "u32", 64]])
      }))
  }

  test("writes a header of any length", () =>
    inDirectory(async (path) => {
      const tokens = Array.from({ length: 20_000 }, (_, i) => `token ${i}`)
      const metadata: ReadonlyArray<MetadataRow> = [
        ["tokens", "string[]", tokens],
        ["after", "f64", 0.5]
      ]
      await run(writeGguf(path("model.gguf"), { metadata, tensors: [] }))
      const gguf = await run(readGguf(path("model.gguf")))
      expect(rowsOf(gguf.metadata.entries())).toEqual([...metadata])
    }))

  test("streams tensors of every type it can quantize, in chunks of any size (seed 3)", () =>
    inDirectory(async (path) => {
      const tensors = quantizableTypes.map((type): TensorToWrite => ({
        name: `weights.${type}`,
        type,
        shape: [512, 30, 20],
        chunks: function* () {
          const bytes = quantize(type, values)
          for (let at = 0; at < bytes.length; at += 99_991) yield bytes.subarray(at, at + 99_991)
        }
      }))
      await run(writeGguf(path("model.gguf"), { metadata: [], tensors }))
      const gguf = await run(readGguf(path("model.gguf")))
      for (const type of quantizableTypes) {
        const info = gguf.tensors.get(`weights.${type}`)!
        expect(info.shape).toEqual([512, 30, 20])
        const expected = new Float32Array(values.length)
        dequantize(type, quantize(type, values), expected)
        // 307,200 elements: more than one chunk of readTensor.
        expect(Buffer.from(readTensor(gguf, info).buffer).equals(Buffer.from(expected.buffer))).toBe(true)
      }
    }))

  test("keeps the older file and leaves nothing behind when it dies half-way", () =>
    inDirectory(async (path) => {
      writeFileSync(path("model.gguf"), "older")
      for (const bytes of [15, 17]) {
        const exit = await run(
          Effect.exit(writeGguf(path("model.gguf"), { metadata: [], tensors: [zeros("t", bytes)] }))
        )
        expect(Exit.hasDies(exit)).toBe(true)
      }
      expect(readdirSync(path("."))).toEqual(["model.gguf"])
      expect(readFileSync(path("model.gguf"), "utf8")).toBe("older")
    }))

  test("fails with FileUnwritable where the system refuses", () =>
    inDirectory(async (path) => {
      const tensors = [zeros("t", 16)]
      const error = await run(Effect.flip(writeGguf(path("absent/model.gguf"), { metadata: [], tensors })))
      expect(error).toMatchObject({ _tag: "FileUnwritable", path: path("absent/model.gguf") })
      expect(error.message).toContain("no such file or directory")
      expect(existsSync(path("absent"))).toBe(false)
      mkdirSync(path("directory"))
      expect(await run(Effect.flip(writeGguf(path("directory"), { metadata: [], tensors })))).toMatchObject({
        _tag: "FileUnwritable"
      })
      expect(readdirSync(path("."))).toEqual(["directory"])
    }))
})
