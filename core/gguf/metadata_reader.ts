// How do the bytes of a metadata section become values?
import type { ByteCursor } from "./byte_cursor.ts"
import { Metadata, type MetadataArray, type MetadataValue } from "./metadata.ts"

/** Type ids as in gguf.h (`enum gguf_type`); the position is the id. */
export const metadataTypeIds = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64"
] as const

/** llama.cpp reads no nested arrays at all; the format allows them. */
const maxArrayDepth = 4
/** gguf.md: keys are at most 2¹⁶−1 bytes. */
const maxKeyBytes = 65_535
/** The shortest entry: key length, one byte of key, type, one byte of value. */
const entryBytesMin = 8 + 1 + 4 + 1

/** Reads the count of entries: the last field of the file's fixed header. */
export const readMetadataCount = (cursor: ByteCursor): number => cursor.count(entryBytesMin, "metadata count")

/** Reads `count` entries. Throws `TruncatedFile` or `MalformedGguf`. */
export const readMetadata = (cursor: ByteCursor, count: number): Metadata => {
  const values = new Map<string, MetadataValue>()
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`metadata key ${i}`, maxKeyBytes)
    if (key === "") throw cursor.malformed(`metadata key ${i} is empty`)
    if (values.has(key)) throw cursor.malformed(`metadata key ${key} appears twice`)
    values.set(key, readValue(cursor, key))
  }
  return new Metadata(cursor.source.path, values)
}

const readValue = (cursor: ByteCursor, key: string): MetadataValue => {
  const what = `metadata key ${key}`
  const type = readType(cursor, key)
  switch (type) {
    case "u8":
    case "i8":
    case "u16":
    case "i16":
    case "u32":
    case "i32":
    case "f32":
    case "f64":
      return { type, value: cursor[type](what) }
    case "u64":
    case "i64":
      return { type, value: numberIfSafe(cursor[type](what)) }
    case "bool":
      return { type, value: readBools(cursor, 1, key)[0] === 1 }
    case "string":
      return { type, value: cursor.string(what) }
    case "array":
      return readArray(cursor, key, 1)
  }
}

const readArray = (cursor: ByteCursor, key: string, depth: number): MetadataArray => {
  if (depth > maxArrayDepth) throw cursor.malformed(`metadata key ${key} nests arrays deeper than ${maxArrayDepth}`)
  const what = `metadata key ${key}`
  const type = readType(cursor, key)
  const count = cursor.count(elementBytesMin[type], `${what}: element count`)
  // The host is little-endian, like the file: every platform that Bun, Deno and Node support is.
  const buffer = (): ArrayBuffer => cursor.bytes(count * elementBytesMin[type], what).buffer
  switch (type) {
    case "u8":
      return { type: "u8[]", value: new Uint8Array(buffer()) }
    case "i8":
      return { type: "i8[]", value: new Int8Array(buffer()) }
    case "u16":
      return { type: "u16[]", value: new Uint16Array(buffer()) }
    case "i16":
      return { type: "i16[]", value: new Int16Array(buffer()) }
    case "u32":
      return { type: "u32[]", value: new Uint32Array(buffer()) }
    case "i32":
      return { type: "i32[]", value: new Int32Array(buffer()) }
    case "f32":
      return { type: "f32[]", value: new Float32Array(buffer()) }
    case "f64":
      return { type: "f64[]", value: new Float64Array(buffer()) }
    case "u64":
      return { type: "u64[]", value: new BigUint64Array(buffer()) }
    case "i64":
      return { type: "i64[]", value: new BigInt64Array(buffer()) }
    case "bool":
      return { type: "bool[]", value: readBools(cursor, count, key) }
    case "string":
      return { type: "string[]", value: Array.from({ length: count }, (_, i) => cursor.string(`${what}[${i}]`)) }
    case "array":
      return { type: "array[]", value: Array.from({ length: count }, () => readArray(cursor, key, depth + 1)) }
  }
}

/** Bytes of an element; for strings and arrays the least, which bounds how many a file can hold. */
const elementBytesMin: { readonly [T in (typeof metadataTypeIds)[number]]: number } = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  f64: 8,
  u64: 8,
  i64: 8,
  bool: 1,
  string: 8,
  array: 12
}

const readType = (cursor: ByteCursor, key: string): (typeof metadataTypeIds)[number] => {
  const id = cursor.u32(`type of metadata key ${key}`)
  const type = metadataTypeIds[id]
  if (type === undefined) throw cursor.malformed(`metadata key ${key} has the unknown type ${id}`)
  return type
}

const readBools = (cursor: ByteCursor, count: number, key: string): Uint8Array => {
  const bytes = cursor.bytes(count, `metadata key ${key}`)
  if (bytes.some((byte) => byte > 1)) throw cursor.malformed(`metadata key ${key} has a bool that is neither 0 nor 1`)
  return bytes
}

const numberIfSafe = (value: bigint): number | bigint => {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
