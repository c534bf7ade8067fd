// Goal: numbers that torch.save wrote are read as they are, and a hostile file does nothing at all.
// Method: files with the opcodes of Python's own pickler (test/golden/torch/make_golden.py); archives broken one rule at a time, pickles that
// would run something if they were unpickled, every byte of a good file changed.
import { describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { crc32 } from "node:zlib"
import { ForeignFileInvalid } from "../../../core/convert/conversion_error.ts"
import { readTorchVector } from "../../../core/convert/torch/read_vector.ts"
import { inDirectory } from "../../gguf/fixture.ts"

const golden = `${import.meta.dir}/../../golden/torch`
const expected = {
  int64: [0, 5, 123456789012, 7, 300],
  int32: [3, 0, 70000],
  float32: [0, 1.5, 16777216],
  float64: [0.25, 1e15],
  float16: [0, 2048, 0.5],
  slice: [257, 258, 259, 260]
}

for (const [name, numbers] of Object.entries(expected)) {
  test(`readTorchVector() reads ${name}.pt`, () => {
    expect([...readTorchVector(`${golden}/${name}.pt`)]).toEqual(numbers)
  })
}

interface File {
  readonly name: string
  readonly bytes: Uint8Array
  readonly method?: number
  readonly flags?: number
  readonly crc?: number
}

/** A zip archive, and room to lie. */
const zip = (files: ReadonlyArray<File>, { isLarge = false, count = files.length } = {}): Buffer => {
  const parts: Array<Buffer> = []
  const directory: Array<Buffer> = []
  let at = 0
  for (const { name, bytes, method = 0, flags = 0, crc = crc32(bytes) } of files) {
    const local = Buffer.alloc(30 + name.length)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(name.length, 26)
    local.write(name, 30)
    const extra = isLarge ? 20 : 0
    const central = Buffer.alloc(46 + name.length + extra)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(flags, 8)
    central.writeUInt16LE(method, 10)
    central.writeUInt32LE(crc, 16)
    central.writeUInt32LE(isLarge ? 0xffffffff : bytes.length, 20)
    central.writeUInt32LE(bytes.length, 24)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt16LE(extra, 30)
    central.writeUInt32LE(isLarge ? 0xffffffff : at, 42)
    central.write(name, 46)
    if (isLarge) {
      central.writeUInt16LE(1, 46 + name.length)
      central.writeUInt16LE(16, 48 + name.length)
      central.writeBigUInt64LE(BigInt(bytes.length), 50 + name.length)
      central.writeBigUInt64LE(BigInt(at), 58 + name.length)
    }
    parts.push(local, Buffer.from(bytes))
    directory.push(central)
    at += local.length + bytes.length
  }
  const directoryBytes = directory.reduce((sum, each) => sum + each.length, 0)
  const large = Buffer.alloc(76)
  large.writeUInt32LE(0x06064b50, 0)
  large.writeBigUInt64LE(BigInt(count), 32)
  large.writeBigUInt64LE(BigInt(directoryBytes), 40)
  large.writeBigUInt64LE(BigInt(at), 48)
  large.writeUInt32LE(0x07064b50, 56)
  large.writeBigUInt64LE(BigInt(at + directoryBytes), 64)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(isLarge ? 0xffff : count, 10)
  end.writeUInt32LE(isLarge ? 0xffffffff : directoryBytes, 12)
  end.writeUInt32LE(isLarge ? 0xffffffff : at, 16)
  return Buffer.concat([...parts, ...directory, ...(isLarge ? [large] : []), end])
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
/** Characters are bytes. */
const latin1 = (value: string): Buffer => Buffer.from(value, "latin1")
const unicode = (value: string): string => `X${String.fromCharCode(value.length)}\0\0\0${value}`

interface Pickle {
  readonly storage?: string
  readonly count?: number
  readonly key?: string
  readonly shape?: string
  readonly strides?: string
  readonly offset?: number
}

/** The pickle of a tensor of three floats, and what it could claim instead. */
const pickle = ({
  storage = "FloatStorage",
  count = 3,
  key = "0",
  shape = "K\x03\x85",
  strides = "K\x01\x85",
  offset = 0
}: Pickle = {}) =>
  latin1(
    `\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((${unicode("storage")}ctorch\n${storage}\n${unicode(key)}${unicode("cpu")}` +
      `K${String.fromCharCode(count)}tQK${String.fromCharCode(offset)}${shape}${strides}\x89ccollections\nOrderedDict\n)RtR.`
  )
const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer)
const archive = (program: Uint8Array, stored = data, more: ReadonlyArray<File> = []) =>
  zip([{ name: "a/data.pkl", bytes: program }, { name: "a/data/0", bytes: stored }, ...more])

const reading = (bytes: Uint8Array): Promise<unknown> =>
  inDirectory(async (path) => {
    writeFileSync(path("activation.pt"), bytes)
    return [...readTorchVector(path("activation.pt"))]
  }).catch((error: unknown) => error)

test("readTorchVector() reads archives with the numbers of large ones (zip64)", async () => {
  const files = [
    { name: "a/data.pkl", bytes: pickle() },
    { name: "a/data/0", bytes: data }
  ]
  expect(await reading(zip(files))).toEqual([1, 2, 3])
  expect(await reading(zip(files, { isLarge: true }))).toEqual([1, 2, 3])
})

const raw = (program: string): Buffer => archive(latin1(program))
const refused: ReadonlyArray<readonly [what: string, bytes: Uint8Array, named: string]> = [
  ["a call of os.system", raw("\x80\x02cos\nsystem\n(X\x02\0\0\0lstR."), "names os.system"],
  ["a call of builtins.eval", raw("\x80\x02cbuiltins\neval\n(X\x01\0\0\x001tR."), "names builtins.eval"],
  [
    "a type that only looks like torch's",
    raw("\x80\x02ctorch\nFloatStorage.__init__\n."),
    "names torch.FloatStorage.__init__"
  ],
  ["a type of Object's prototype", raw("\x80\x02ctorch\nconstructor\n."), "names torch.constructor"],
  ["another tensor type", archive(pickle({ storage: "BFloat16Storage" })), "names torch.BFloat16Storage"],
  ["an opcode that builds objects", raw("\x80\x02ccollections\nOrderedDict\n)\x81."), "opcode 0x81"],
  ["an opcode that sets state", raw("\x80\x02N}b."), "opcode 0x7d"],
  ["an instance by its old opcode", raw("\x80\x02(ios\nsystem\n."), "opcode 0x69"],
  ["protocol 4", raw("\x80\x04N."), "not of protocol 2"],
  ["a dictionary of tensors", raw("\x80\x02ccollections\nOrderedDict\n)R."), "something else than one tensor"],
  ["a call with other arguments", raw("\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R."), "calls something else"],
  ["a storage that is none", raw("\x80\x02K\x01Q."), "something else than a storage"],
  ["a stack without end", raw(`\x80\x02${"N".repeat(100)}.`), "nests too deep"],
  ["a recalled value that was never remembered", raw("\x80\x02h\x07."), "did not remember"],
  ["an empty stack", raw("\x80\x02\x87."), "takes more than there is"],
  ["a mark that is missing", raw("\x80\x02t."), "takes more than there is"],
  ["a name without end", raw(`\x80\x02c${"a".repeat(400)}`), "too long"],
  ["a pickle cut short", raw("\x80\x02X\xff\0"), "cut short"],
  ["a text that would not fit", raw("\x80\x02X\xff\xff\xff\xffa"), "too long"],
  ["two dimensions", archive(pickle({ shape: "K\x01K\x03\x86", strides: "K\x03K\x01\x86" })), "2 dimensions"],
  ["strides", archive(pickle({ shape: "K\x02\x85", strides: "K\x02\x85" })), "do not lie side by side"],
  ["more elements than the storage", archive(pickle({ shape: "K\x04\x85" })), "does not lie in its storage"],
  ["a place past the storage", archive(pickle({ offset: 1 })), "does not lie in its storage"],
  ["a storage of another size", archive(pickle({ count: 4 })), "its storage has 12 bytes"],
  ["a storage outside the archive", archive(pickle({ key: "../0" })), 'its storage is called "../0"'],
  ["a storage that is missing", archive(pickle({ key: "1" })), "it has no a/data/1"],
  ["a negative length", archive(pickle({ shape: "J\xff\xff\xff\xff\x85" })), "no number where a tensor needs one"],
  ["big-endian numbers", archive(pickle(), data, [{ name: "a/byteorder", bytes: text("big") }]), "big-endian"],
  ["two pickles", archive(pickle(), data, [{ name: "b/data.pkl", bytes: pickle() }]), "2 files data.pkl"],
  ["no archive", latin1("\x80\x02}q\0."), "no zip archive"],
  ["compression", zip([{ name: "a/data.pkl", bytes: pickle(), method: 8 }]), "is compressed"],
  ["encryption", zip([{ name: "a/data.pkl", bytes: pickle(), flags: 1 }]), "is encrypted"],
  ["a wrong checksum", zip([{ name: "a/data.pkl", bytes: pickle(), crc: 7 }]), "another checksum"],
  [
    "more files than the directory has",
    zip([{ name: "a/data.pkl", bytes: pickle() }], { count: 2 }),
    "directory is damaged"
  ],
  ["a directory of millions", zip([], { isLarge: true, count: 1e7 }), "names 10000000 files"]
]

describe("readTorchVector() refuses", () => {
  for (const [what, bytes, named] of refused) {
    test(what, async () => {
      const error = await reading(bytes)
      expect(error).toBeInstanceOf(ForeignFileInvalid)
      expect((error as Error).message).toContain(named)
    })
  }
})

test("readTorchVector() answers every changed or missing byte with numbers or a typed error", async () => {
  const good = readFileSync(`${golden}/int64.pt`)
  await inDirectory(async (path) => {
    for (let at = 0; at < good.length; at++) {
      const changed = Buffer.from(good)
      changed[at]! ^= 0x41
      for (const bytes of [changed, good.subarray(0, at)]) {
        writeFileSync(path("a.pt"), bytes)
        try {
          expect(readTorchVector(path("a.pt")).length).toBeLessThanOrEqual(5)
        } catch (error) {
          expect(error).toBeInstanceOf(ForeignFileInvalid)
        }
      }
    }
  })
})
