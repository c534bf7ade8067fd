// How are GGUF files built byte by byte in tests, without the writer under test?
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { ByteSource } from "../../core/gguf/byte_cursor.ts"
import type { GgufError } from "../../core/gguf/gguf_error.ts"
import { type Gguf, parseGguf } from "../../core/gguf/reader.ts"

/** Little-endian bytes of a number, or of several; text is UTF-8 without a length. */
export const u8 = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
export const u16 = (...values: ReadonlyArray<number>) => new Uint8Array(Uint16Array.from(values).buffer)
export const u32 = (...values: ReadonlyArray<number>) => new Uint8Array(Uint32Array.from(values).buffer)
export const u64 = (...values: ReadonlyArray<number | bigint>) =>
  new Uint8Array(BigUint64Array.from(values, BigInt).buffer)
export const f32 = (...values: ReadonlyArray<number>) => new Uint8Array(Float32Array.from(values).buffer)
export const f64 = (...values: ReadonlyArray<number>) => new Uint8Array(Float64Array.from(values).buffer)
export const text = (value: string) => new TextEncoder().encode(value)

/** A GGUF string: u64 length, bytes. */
export const str = (value: string | Uint8Array) => {
  const bytes = typeof value === "string" ? text(value) : value
  return join8(u64(bytes.length), bytes)
}

export const join8 = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** A metadata entry from its raw parts. */
export const entry = (key: string, typeId: number, ...value: ReadonlyArray<Uint8Array>) =>
  join8(str(key), u32(typeId), ...value)

/** A tensor's index entry from its raw parts. */
export const tensor = (name: string, shape: ReadonlyArray<number | bigint>, typeId: number, offset: number | bigint) =>
  join8(str(name), u32(shape.length), u64(...shape), u32(typeId), u64(offset))

/** A whole file. Counts default to the truth; `data` starts at the next multiple of `alignment`. */
export const file = (parts: {
  readonly magic?: string
  readonly version?: number
  readonly metadata?: ReadonlyArray<Uint8Array>
  readonly metadataCount?: number | bigint
  readonly tensors?: ReadonlyArray<Uint8Array>
  readonly tensorCount?: number | bigint
  readonly data?: Uint8Array
  readonly alignment?: number
}): Uint8Array => {
  const { metadata = [], tensors = [], alignment = 32 } = parts
  const header = join8(
    text(parts.magic ?? "GGUF"),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length, parts.metadataCount ?? metadata.length),
    ...metadata,
    ...tensors
  )
  if (parts.data === undefined) return header
  return join8(header, new Uint8Array(-header.length & (alignment - 1)), parts.data)
}

/** Bytes as a source that refuses any read outside of them and tells how much was read. */
export const sourceOf = (bytes: Uint8Array): ByteSource & { readonly bytesRead: () => number } => {
  let total = 0
  return {
    path: "fixture.gguf",
    sizeBytes: bytes.length,
    bytesRead: () => total,
    read: (offset, length) => {
      if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) {
        throw new Error(`read of ${length} bytes at ${offset}: the file has ${bytes.length}`)
      }
      total += length
      return bytes.slice(offset, offset + length)
    }
  }
}

/** Parses bytes in memory. */
export const parse = (bytes: Uint8Array): Gguf => parseGguf(sourceOf(bytes))

/** What `evaluate` throws. Throws itself if it returns. */
export const thrownBy = (evaluate: () => unknown): unknown => {
  try {
    evaluate()
  } catch (error) {
    return error
  }
  throw new Error("expected it to throw")
}

/** The typed failure of an effect, for assertions on its fields. */
export const failureOf = <A>(effect: Effect.Effect<A, GgufError>): Promise<GgufError> =>
  Effect.runPromise(Effect.flip(effect))

/** Runs `use` with a directory of its own, removed afterwards. */
export const inDirectory = async <A>(use: (path: (name: string) => string) => Promise<A>): Promise<A> => {
  const directory = mkdtempSync(join(tmpdir(), "powerinfer-gguf-"))
  try {
    return await use((name) => join(directory, name))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A seeded generator of numbers in 0 … 1 (mulberry32). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
