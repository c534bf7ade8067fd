// Goal: no header, however hostile, makes the reader believe in a byte that is not there.
// Method: headers broken one rule at a time; every single byte of a good file changed.
import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { ForeignFileInvalid } from "../../../core/convert/conversion_error.ts"
import { readSafetensors } from "../../../core/convert/hugging_face/safetensors.ts"
import { inDirectory } from "../../gguf/fixture.ts"
import { safetensors, safetensorsOf } from "../../support/checkpoint_files.ts"

const good = safetensors([
  { name: "a", dtype: "F32", shape: [2, 3], bytes: new Uint8Array(24) },
  { name: "b", dtype: "BF16", shape: [5], bytes: new Uint8Array(10) },
  { name: "none", dtype: "I64", shape: [0, 4], bytes: new Uint8Array(0) }
])

const reading = (bytes: Uint8Array) =>
  inDirectory(async (path) => {
    writeFileSync(path("model.safetensors"), bytes)
    return readSafetensors(path("model.safetensors"))
  })

test("readSafetensors() finds types, shapes and places", async () => {
  const [a, b, none] = await reading(good)
  const data = good.length - 34
  expect(a).toMatchObject({ name: "a", dtype: "F32", shape: [2, 3], offset: data })
  expect(b).toMatchObject({ name: "b", dtype: "BF16", shape: [5], offset: data + 24 })
  expect(none).toMatchObject({ shape: [0, 4] })
})

const entry = (change: object) => JSON.stringify({ a: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...change } })
const hostile: ReadonlyArray<readonly [what: string, header: string, named: string]> = [
  ["no JSON", "{", "it is no JSON"],
  ["a list", "[]", "its header is no JSON object"],
  ["a tensor that is none", `{"a": 7}`, "a is no JSON object"],
  ["an unknown type", entry({ dtype: "F4" }), 'unknown type "F4"'],
  ["no type", entry({ dtype: null }), "a.dtype is missing"],
  ["a negative dimension", entry({ shape: [-2] }), "shape of a tensor holds -2"],
  ["a broken dimension", entry({ shape: [1.5] }), "shape of a tensor holds 1.5"],
  ["a dimension above 2⁵³", entry({ shape: [2 ** 60] }), "shape of a tensor holds"],
  ["a shape that overflows", entry({ shape: [2 ** 40, 2 ** 40] }), "takes"],
  ["a shape of another size", entry({ shape: [3] }), "its shape [3] in F32 takes 12"],
  ["an end past the data", entry({ shape: [4], data_offsets: [0, 16] }), "lies outside the 8 bytes"],
  ["an end before the begin", entry({ data_offsets: [8, 0] }), "lies outside"],
  ["one offset", entry({ data_offsets: [0] }), "lies outside"],
  ["an offset that is text", entry({ data_offsets: ["0", "8"] }), 'data_offsets of a tensor holds "0"'],
  [
    "an overlap",
    JSON.stringify({
      a: { dtype: "F16", shape: [3], data_offsets: [0, 6] },
      b: { dtype: "F16", shape: [2], data_offsets: [4, 8] }
    }),
    "b overlaps a"
  ]
]

for (const [what, header, named] of hostile) {
  test(`readSafetensors() refuses ${what}`, async () => {
    const error = await reading(safetensorsOf(header, new Uint8Array(8))).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ForeignFileInvalid)
    expect((error as Error).message).toContain(named)
  })
}

test("readSafetensors() refuses a header that is longer than the file, or than the format allows", async () => {
  const length = (value: bigint) => {
    const bytes = Buffer.alloc(16)
    bytes.writeBigUInt64LE(value)
    return bytes
  }
  for (const [bytes, named] of [
    [length(9n), "reaches past the end"],
    [length(2n ** 63n), "the limit is 100000000"],
    [Buffer.alloc(7), "fewer than the length of a header"]
  ] as const) {
    const error = await reading(bytes).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ForeignFileInvalid)
    expect((error as Error).message).toContain(named)
  }
})

test("readSafetensors() answers every changed byte of a header with tensors inside the file, or a typed error", () =>
  inDirectory(async (path) => {
    for (let at = 0; at < good.length - 34; at++) {
      for (const change of [1, 0x80]) {
        const bytes = Buffer.from(good)
        bytes[at]! ^= change
        writeFileSync(path("model.safetensors"), bytes)
        try {
          for (const { shape, offset } of readSafetensors(path("model.safetensors"))) {
            expect(offset + shape.reduce((product, length) => product * length, 1)).toBeLessThanOrEqual(bytes.length)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(ForeignFileInvalid)
        }
      }
    }
  }))
