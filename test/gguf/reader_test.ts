// Goal: every field of the format is read as the format defines it, and every broken rule has its own error.
// Method: files built byte by byte (fixture.ts), and one written by gguf-py (golden/gguf/make_golden.py).
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import type { GgufError } from "../../core/gguf/gguf_error.ts"
import {
  entry,
  f32,
  f64,
  file,
  join8,
  parse,
  sourceOf,
  str,
  tensor,
  text,
  thrownBy,
  u16,
  u32,
  u64,
  u8
} from "./fixture.ts"
import { parseGguf } from "../../core/gguf/reader.ts"

const tagOf = (bytes: Uint8Array): string => (thrownBy(() => parse(bytes)) as GgufError)._tag
const messageOf = (bytes: Uint8Array): string => (thrownBy(() => parse(bytes)) as GgufError).message
const valueOf = (...parts: ReadonlyArray<Uint8Array>) => {
  const [typeId, ...value] = parts
  return parse(file({ metadata: [join8(str("key"), typeId!, ...value)] })).metadata.get("key")
}
const innerArray = (...values: ReadonlyArray<number>) => join8(u32(5), u64(values.length), u32(...values))
const refusedType = (magic: string, id: number) =>
  thrownBy(() => parse(file({ magic, tensors: [tensor("t", [256], id, 0)], data: new Uint8Array(4096) })))
const oneTensor = (...parts: Parameters<typeof tensor>) =>
  file({ tensors: [tensor(...parts)], data: new Uint8Array(4096) })

describe("parseGguf", () => {
  for (const version of [2, 3] as const) {
    for (const magic of ["GGUF", "PWRI"] as const) {
      test(`reads a version ${version} file with the magic ${magic}`, () => {
        const gguf = parse(
          file({
            magic,
            version,
            metadata: [entry("general.architecture", 8, str("llama"))],
            tensors: [tensor("a", [4, 2], 0, 0), tensor("b", [64], 8, 32)],
            data: new Uint8Array(32 + 68)
          })
        )
        expect(gguf.version).toBe(version)
        expect(gguf.magic).toBe(magic)
        expect(gguf.alignment).toBe(32)
        expect(gguf.metadata.string("general.architecture")).toBe("llama")
        const { dataOffset } = gguf.files[0]!
        expect(dataOffset % 32).toBe(0)
        expect([...gguf.tensors.values()]).toEqual([
          { name: "a", type: "F32", shape: [4, 2], file: 0, offset: dataOffset, sizeBytes: 32 },
          { name: "b", type: "Q8_0", shape: [64], file: 0, offset: dataOffset + 32, sizeBytes: 68 }
        ])
      })
    }
  }

  test("reads a file without metadata and tensors", () => {
    const gguf = parse(file({}))
    expect(gguf.tensors.size).toBe(0)
    expect([...gguf.metadata.entries()]).toEqual([])
  })

  test("places tensors by general.alignment", () => {
    const gguf = parse(
      file({
        alignment: 256,
        metadata: [entry("general.alignment", 4, u32(256))],
        tensors: [tensor("a", [1], 0, 0), tensor("b", [1], 0, 256)],
        data: new Uint8Array(260)
      })
    )
    expect(gguf.alignment).toBe(256)
    expect([...gguf.tensors.values()].map(({ offset }) => offset)).toEqual([256, 512])
  })

  test("reads each part of a long header once, and no tensor data", () => {
    const tokens = Array.from({ length: 30_000 }, (_, i) => str(`token ${i}`))
    const bytes = file({
      metadata: [entry("tokens", 9, u32(8), u64(tokens.length), ...tokens), entry("after", 4, u32(7))],
      tensors: [tensor("a", [1 << 20], 0, 0)],
      data: new Uint8Array(4 << 20)
    })
    const source = sourceOf(bytes)
    const gguf = parseGguf(source)
    expect(gguf.metadata.strings("tokens")[29_999]).toBe("token 29999")
    expect(gguf.metadata.u32("after")).toBe(7)
    expect(source.bytesRead()).toBeLessThan(gguf.files[0]!.dataOffset * 1.01 + 65_536)
  })

  test("reads what gguf-py wrote", () => {
    const gguf = parse(readFileSync(`${import.meta.dir}/../golden/gguf/little.gguf`))
    expect(Object.fromEntries(gguf.metadata.entries())).toEqual({
      "general.architecture": { type: "string", value: "llama" },
      "golden.u8": { type: "u8", value: 200 },
      "golden.i8": { type: "i8", value: -100 },
      "golden.u16": { type: "u16", value: 60_000 },
      "golden.i16": { type: "i16", value: -30_000 },
      "golden.u32": { type: "u32", value: 4_000_000_000 },
      "golden.i32": { type: "i32", value: -2_000_000_000 },
      "golden.f32": { type: "f32", value: Math.fround(0.1) },
      "golden.bool": { type: "bool", value: true },
      "golden.string": { type: "string", value: "Ωmega \ufeff 😀" },
      "golden.u64": { type: "u64", value: 2n ** 64n - 1n },
      "golden.i64": { type: "i64", value: -(2 ** 40) },
      "golden.f64": { type: "f64", value: 0.1 },
      "golden.numbers": { type: "i32[]", value: Int32Array.of(1, -2, 3) },
      "golden.floats": { type: "f32[]", value: Float32Array.of(0.5, -1.25) },
      "golden.strings": { type: "string[]", value: ["<s>", "", "\ufeff", "▁the"] },
      "golden.bools": { type: "bool[]", value: Uint8Array.of(1, 0, 1) }
    })
    expect([...gguf.tensors.values()].map(({ name, type, shape }) => [name, type, shape])).toEqual([
      ["plain", "F32", [4, 3]],
      ["half", "F16", [3, 2]],
      ["quantized", "Q8_0", [32, 2]]
    ])
  })
})

describe("parseGguf reads metadata of type", () => {
  const scalars: ReadonlyArray<readonly [string, number, Uint8Array, unknown]> = [
    ["u8", 0, u8(255), 255],
    ["i8", 1, u8(255), -1],
    ["u16", 2, u16(65_535), 65_535],
    ["i16", 3, u16(65_535), -1],
    ["u32", 4, u32(0xffff_ffff), 0xffff_ffff],
    ["i32", 5, u32(0xffff_ffff), -1],
    ["f32", 6, f32(-0.1), Math.fround(-0.1)],
    ["bool", 7, u8(1), true],
    ["bool", 7, u8(0), false],
    ["string", 8, str("größer"), "größer"],
    ["u64", 10, u64(2 ** 53 - 1), 2 ** 53 - 1],
    ["u64", 10, u64(2n ** 53n), 2n ** 53n],
    ["i64", 11, u64(2n ** 64n - 5n), -5],
    ["i64", 11, u64(2n ** 63n), -(2n ** 63n)],
    ["f64", 12, f64(Math.PI), Math.PI]
  ]
  for (const [type, id, bytes, value] of scalars) {
    test(`${type} ${value}`, () => expect(valueOf(u32(id), bytes)).toEqual({ type, value } as never))
  }

  const arrays: ReadonlyArray<readonly [string, number, Uint8Array, unknown]> = [
    ["u8[]", 0, u8(1, 255), Uint8Array.of(1, 255)],
    ["i8[]", 1, u8(1, 255), Int8Array.of(1, -1)],
    ["u16[]", 2, u16(1, 65_535), Uint16Array.of(1, 65_535)],
    ["i16[]", 3, u16(1, 65_535), Int16Array.of(1, -1)],
    ["u32[]", 4, u32(1, 0xffff_ffff), Uint32Array.of(1, 0xffff_ffff)],
    ["i32[]", 5, u32(1, 0xffff_ffff), Int32Array.of(1, -1)],
    ["f32[]", 6, f32(0.5, -Infinity), Float32Array.of(0.5, -Infinity)],
    ["bool[]", 7, u8(1, 0), Uint8Array.of(1, 0)],
    ["string[]", 8, join8(str("a"), str("")), ["a", ""]],
    ["u64[]", 10, u64(1, 2n ** 64n - 1n), BigUint64Array.of(1n, 2n ** 64n - 1n)],
    ["i64[]", 11, u64(1, 2n ** 64n - 1n), BigInt64Array.of(1n, -1n)],
    ["f64[]", 12, f64(0.1, 1e300), Float64Array.of(0.1, 1e300)]
  ]
  for (const [type, id, bytes, value] of arrays) {
    test(type, () => expect(valueOf(u32(9), u32(id), u64(2), bytes)).toEqual({ type, value } as never))
    test(`${type} of no elements`, () => {
      expect(valueOf(u32(9), u32(id), u64(0))).toMatchObject({ type, value: { length: 0 } } as never)
    })
  }

  test("array[], arrays in arrays", () => {
    expect(valueOf(u32(9), u32(9), u64(2), innerArray(1, 2), innerArray())).toEqual({
      type: "array[]",
      value: [
        { type: "i32[]", value: Int32Array.of(1, 2) },
        { type: "i32[]", value: Int32Array.of() }
      ]
    })
  })

  test("string with bytes that are not UTF-8, each replaced", () => {
    expect(valueOf(u32(8), str(u8(0x61, 0xff, 0x62)))).toEqual({ type: "string", value: "a\ufffdb" })
  })

  test("string that begins with U+FEFF, kept", () => {
    expect(valueOf(u32(8), str("\ufeff"))).toEqual({ type: "string", value: "\ufeff" })
  })
})

describe("parseGguf refuses", () => {
  const malformed: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["an unknown metadata type", file({ metadata: [entry("k", 13, u64(0))] }), "unknown type 13"],
    ["an unknown element type", file({ metadata: [entry("k", 9, u32(77), u64(0))] }), "unknown type 77"],
    ["a bool of 2", file({ metadata: [entry("k", 7, u8(2))] }), "neither 0 nor 1"],
    ["an empty key", file({ metadata: [entry("", 7, u8(1), u8(0))] }), "key 0 is empty"],
    ["a key of 65,536 bytes", file({ metadata: [entry("k".repeat(65_536), 7, u8(1))] }), "limit is 65535"],
    ["a key twice", file({ metadata: [entry("k", 7, u8(1)), entry("k", 7, u8(1))] }), "k appears twice"],
    [
      "arrays nested five deep",
      file({ metadata: [entry("k", 9, ...Array.from({ length: 4 }, () => join8(u32(9), u64(1))), u32(0), u64(0))] }),
      "deeper than 4"
    ],
    ["a tensor without a name", oneTensor("", [1], 0, 0), "has no name"],
    ["a tensor name of 129 bytes", oneTensor("n".repeat(129), [1], 0, 0), "limit is 128"],
    ["no dimensions", oneTensor("t", [], 0, 0), "0 dimensions"],
    ["five dimensions", oneTensor("t", [1, 1, 1, 1, 1], 0, 0), "5 dimensions"],
    ["an empty dimension", oneTensor("t", [32, 0], 0, 0), "the shape 32 × 0"],
    ["a shape whose product overflows", oneTensor("t", [2 ** 32, 2 ** 32], 0, 0), "the shape 4294967296 × 4294967296"],
    ["a shape that overflows to zero", oneTensor("t", [2n ** 63n, 2], 0, 0), "the shape"],
    ["a row that is not whole blocks", oneTensor("t", [33], 8, 0), "Q8_0 blocks of 32"],
    ["an unaligned tensor", oneTensor("t", [1], 0, 4), "not a multiple of 32"],
    [
      "a tensor name twice",
      file({ tensors: [tensor("t", [1], 0, 0), tensor("t", [1], 0, 32)], data: new Uint8Array(64) }),
      "t appears twice"
    ],
    [
      "overlapping tensors",
      file({ tensors: [tensor("a", [16], 0, 0), tensor("b", [1], 0, 32)], data: new Uint8Array(64) }),
      "b overlaps"
    ]
  ]
  for (const [what, bytes, reason] of malformed) {
    test(what, () => {
      expect(tagOf(bytes)).toBe("MalformedGguf")
      expect(messageOf(bytes)).toContain(reason)
    })
  }

  const truncated: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["a file that ends in its fixed header", file({}).slice(0, 20)],
    ["a metadata count beyond the file", file({ metadataCount: 2n ** 63n })],
    [
      "a metadata count that barely does not fit",
      file({ metadata: [entry("k", 0, u8(0)), entry("l", 0, u8(0))], metadataCount: 3 })
    ],
    ["a tensor count beyond the file", file({ tensorCount: 2n ** 64n - 1n })],
    ["a key length beyond the file", file({ metadata: [join8(u64(2n ** 40n), text("k"), u32(0), u64(0))] })],
    ["a string length beyond the file", file({ metadata: [entry("k", 8, u64(9), text("eight by"))] })],
    ["an array count beyond the file", file({ metadata: [entry("k", 9, u32(12), u64(2n ** 61n), f64(0))] })],
    ["a string array count beyond the file", file({ metadata: [entry("k", 9, u32(8), u64(3), u64(0, 0))] })],
    ["a tensor that ends after the file", file({ tensors: [tensor("t", [33], 0, 0)], data: new Uint8Array(128) })],
    ["a tensor that starts after the file", oneTensor("t", [1], 0, 2n ** 62n)]
  ]
  for (const [what, bytes] of truncated) test(what, () => expect(tagOf(bytes)).toBe("TruncatedFile"))

  test("missing tensor data, naming the size of the whole file", () => {
    const tensors = [tensor("a", [64], 0, 0), tensor("b", [64], 0, 256)]
    const whole = file({ tensors, data: new Uint8Array(512) })
    expect(thrownBy(() => parse(whole.slice(0, -300)))).toMatchObject({
      _tag: "TruncatedFile",
      what: "tensor a",
      expectedBytes: whole.length,
      actualBytes: whole.length - 300
    })
  })

  test("other magics, saying what it saw", () => {
    expect(thrownBy(() => parse(text("PK\x03\x04")))).toMatchObject({ _tag: "NotGguf", actual: '"PK\\u0003\\u0004"' })
    expect(thrownBy(() => parse(text("GG")))).toMatchObject({ _tag: "NotGguf", actual: '"GG"' })
    expect(messageOf(u8())).toContain("it is empty")
  })

  test("versions other than 2 and 3", () => {
    for (const version of [0, 1, 4]) {
      expect(thrownBy(() => parse(file({ version })))).toMatchObject({ _tag: "UnsupportedVersion", version })
    }
  })

  test("a big-endian file, as gguf-py writes it", () => {
    expect(tagOf(readFileSync(`${import.meta.dir}/../golden/gguf/big_endian.gguf`))).toBe("BigEndianFile")
  })

  test("an alignment that is not a power of two, is below 8 or is no integer", () => {
    for (const value of [u32(0), u32(4), u32(48), u32(12)]) {
      expect(tagOf(file({ metadata: [entry("general.alignment", 4, value)] }))).toBe("InvalidMetadata")
    }
    expect(tagOf(file({ metadata: [entry("general.alignment", 6, f32(32))] }))).toBe("InvalidMetadata")
  })

  test("tensor types we do not compute with, by ggml's name or PowerInfer's", () => {
    expect(refusedType("GGUF", 23)).toMatchObject({
      _tag: "UnsupportedTensorType",
      tensor: "t",
      typeId: 23,
      typeName: "IQ4_XS"
    })
    expect(refusedType("GGUF", 18)).toMatchObject({ typeName: "IQ3_XXS" })
    expect(refusedType("PWRI", 18)).toMatchObject({ typeName: "I32" })
    expect(refusedType("GGUF", 9)).toMatchObject({ typeName: "Q8_1" })
    expect(refusedType("GGUF", 9999)).toMatchObject({ typeId: 9999, typeName: null })
    expect((refusedType("GGUF", 23) as GgufError).message).toContain("requantize the model to one of F32, F16")
  })
})
