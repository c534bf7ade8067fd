// Goal: no damage to a file makes the reader crash, hang, read outside the file or allocate beyond the file's size.
// Method: 10,000 seeded mutations of a small valid file: flipped bytes, truncation, spliced regions, hostile counts and
// lengths where counts and lengths are. The source refuses reads outside the file and counts bytes; results are weighed.
import { expect, test } from "bun:test"
import { isGgufError } from "../../core/gguf/gguf_error.ts"
import type { MetadataValue } from "../../core/gguf/metadata.ts"
import { type Gguf, parseGguf } from "../../core/gguf/reader.ts"
import { entry, f32, file, join8, randomFrom, sourceOf, str, tensor, u32, u64, u8 } from "./fixture.ts"

const valid = file({
  metadata: [
    entry("general.architecture", 8, str("llama")),
    entry("general.alignment", 4, u32(32)),
    entry("count", 10, u64(12)),
    entry("eps", 6, f32(1e-5)),
    entry("flag", 7, u8(1)),
    entry("tokens", 9, u32(8), u64(3), str("<s>"), str("▁the"), str("")),
    entry("scores", 9, u32(6), u64(4), f32(0, -1, -2, -3)),
    entry("flags", 9, u32(7), u64(2), u8(0, 1)),
    entry("nested", 9, u32(9), u64(2), u32(5), u64(1), u32(9), u32(8), u64(1), str("x"))
  ],
  tensors: [tensor("a", [32, 3], 8, 0), tensor("b", [5, 2, 2], 0, 128), tensor("c", [256], 12, 224)],
  data: new Uint8Array(224 + 144)
})
const headerBytes = valid.length - 368

/** Values that have broken readers: signs, wrap-arounds, off by one, more than a file, more than memory. */
const hostile = [
  0n,
  1n,
  2n,
  13n,
  255n,
  2n ** 16n,
  2n ** 24n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 61n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 8n,
  2n ** 64n - 1n
]

const mutate = (random: () => number): Uint8Array => {
  const below = (limit: number) => Math.floor(random() * limit)
  const bytes = valid.slice()
  const at = below(headerBytes)
  switch (below(5)) {
    case 0: {
      for (let flips = 1 + below(4); flips > 0; flips--) bytes[below(headerBytes)]! ^= 1 << below(8)
      return bytes
    }
    case 1:
      return bytes.slice(0, below(bytes.length))
    case 2: {
      const start = below(headerBytes)
      const region = bytes.slice(start, start + below(64))
      return join8(bytes.subarray(0, at), region, bytes.subarray(at + below(64)))
    }
    default: {
      // Mostly where a field is: counts and lengths lie at any address in this format.
      const field = below(2) === 0 ? fields[below(fields.length)]! : at
      const value = hostile[below(hostile.length)]!
      const wide = below(3) > 0
      new DataView(bytes.buffer)[wide ? "setBigUint64" : "setUint32"](
        field,
        (wide ? value : Number(value & 0xffff_ffffn)) as never,
        true
      )
      return bytes
    }
  }
}

/** Where a u64 of the valid header is small: every count, length, dimension and offset, and a few more. */
const fields = Array.from({ length: headerBytes - 8 }, (_, at) => at).filter((at) => {
  const value = new DataView(valid.buffer).getBigUint64(at, true)
  return value > 0n && value <= 256n
})

const weigh = ({ type, value }: MetadataValue): number => {
  if (type === "string[]") return value.reduce((bytes, each) => bytes + 8 + each.length, 0)
  if (type === "array[]") return value.reduce((bytes, each) => bytes + 12 + weigh(each), 0)
  if (typeof value === "string") return 8 + value.length
  return typeof value === "object" ? (value as Uint8Array).byteLength : 1
}

const requireWithinFile = (gguf: Gguf, sizeBytes: number): void => {
  let metadataBytes = 0
  for (const [key, value] of gguf.metadata.entries()) metadataBytes += key.length + weigh(value)
  let tensorBytes = 0
  for (const info of gguf.tensors.values()) {
    tensorBytes += info.sizeBytes
    expect(info.offset + info.sizeBytes).toBeLessThanOrEqual(sizeBytes)
    expect(info.offset % gguf.alignment).toBe(0)
  }
  expect(metadataBytes + tensorBytes).toBeLessThanOrEqual(sizeBytes)
}

test("parseGguf reads the file that is mutated", () => {
  const gguf = parseGguf(sourceOf(valid))
  expect(gguf.tensors.size).toBe(3)
  expect([...gguf.metadata.entries()]).toHaveLength(9)
  requireWithinFile(gguf, valid.length)
})

for (let seed = 1; seed <= 10; seed++) {
  test(`parseGguf survives 1,000 mutations (seed ${seed})`, () => {
    const random = randomFrom(seed)
    const outcomes = new Map<string, number>()
    let slowestMs = 0
    for (let i = 0; i < 1000; i++) {
      const bytes = mutate(random)
      const source = sourceOf(bytes)
      const start = performance.now()
      let outcome = "read"
      try {
        requireWithinFile(parseGguf(source), bytes.length)
      } catch (error) {
        if (!isGgufError(error)) throw error
        outcome = error._tag
      }
      slowestMs = Math.max(slowestMs, performance.now() - start)
      // The magic is read twice; everything else at most once, as the file is smaller than a window.
      expect(source.bytesRead()).toBeLessThanOrEqual(bytes.length + 4)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    // Some 0.1 ms in fact; the bound is for a loop over a hostile count, on a machine under load.
    expect(slowestMs).toBeLessThan(250)
    // The mutations reach every check, and spare some files.
    for (const tag of ["read", "TruncatedFile", "MalformedGguf", "UnsupportedTensorType", "NotGguf"]) {
      expect([tag, outcomes.get(tag) ?? 0]).not.toEqual([tag, 0])
    }
  })
}
