// Goal: whatever lies at a path, the caller gets the model or the one error that fits; split models open as one.
// Method: real files in a temporary directory, and a split model written by gguf-py.
import { describe, expect, test } from "bun:test"
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { Effect } from "effect"
import { readGguf } from "../../core/gguf/open.ts"
import { readTensor } from "../../core/gguf/read_tensor.ts"
import { entry, failureOf, file, inDirectory, tensor, u16, u32 } from "./fixture.ts"

const golden = `${import.meta.dir}/../golden/gguf`
const part = (number: number, count = 3) => `split-0000${number}-of-0000${count}.gguf`
const openDescriptors = () => readdirSync("/proc/self/fd").length

/** Part `number` of two, with one tensor. */
const written = (number: number, name: string, extra: ReadonlyArray<Uint8Array> = []) =>
  file({
    metadata: [entry("split.no", 2, u16(number - 1)), entry("split.count", 2, u16(2)), ...extra],
    tensors: [tensor(name, [1], 0, 0)],
    data: new Uint8Array(4)
  })

describe("readGguf", () => {
  test("tells a missing file, a directory, a device and an unreadable file apart", () =>
    inDirectory(async (path) => {
      expect(await failureOf(readGguf(path("absent.gguf")))).toMatchObject({
        _tag: "FileNotFound",
        path: path("absent.gguf")
      })
      mkdirSync(path("directory.gguf"))
      expect(await failureOf(readGguf(path("directory.gguf")))).toMatchObject({
        _tag: "NotAFile",
        actual: "a directory"
      })
      writeFileSync(path("plain"), "")
      expect(await failureOf(readGguf(path("plain/model.gguf")))).toMatchObject({ _tag: "FileNotFound" })
      symlinkSync(path("loop.gguf"), path("loop.gguf"))
      expect(await failureOf(readGguf(path("loop.gguf")))).toMatchObject({ _tag: "FileUnreadable" })
      expect(await failureOf(readGguf("/dev/null"))).toMatchObject({ _tag: "NotAFile", actual: "not a regular file" })
    }))

  test.skipIf(process.getuid?.() === 0)("says so when permissions forbid reading", () =>
    inDirectory(async (path) => {
      writeFileSync(path("secret.gguf"), "GGUF")
      chmodSync(path("secret.gguf"), 0)
      expect(await failureOf(readGguf(path("secret.gguf")))).toMatchObject({ _tag: "FileUnreadable" })
    })
  )

  test("passes on what the header is wrong about, with the path", () =>
    inDirectory(async (path) => {
      writeFileSync(path("empty.gguf"), "")
      expect(await failureOf(readGguf(path("empty.gguf")))).toMatchObject({ _tag: "NotGguf", path: path("empty.gguf") })
    }))

  test.skipIf(process.platform !== "linux")("leaves no file open, whether it succeeds or fails", async () => {
    const before = openDescriptors()
    await Effect.runPromise(readGguf(`${golden}/${part(1)}`))
    await failureOf(readGguf(`${golden}/big_endian.gguf`))
    expect(openDescriptors()).toBe(before)
  })
})

describe("readGguf joins a split model", () => {
  for (const number of [1, 2, 3]) {
    test(`from part ${number}`, async () => {
      const whole = await Effect.runPromise(readGguf(`${golden}/little.gguf`))
      const joined = await Effect.runPromise(readGguf(`${golden}/${part(number)}`))
      expect(joined.files.map((file) => file.path)).toEqual([1, 2, 3].map((each) => `${golden}/${part(each)}`))
      expect(joined.metadata.u32("golden.u32")).toBe(4_000_000_000)
      expect([...joined.tensors.values()].map((each) => each.file)).toEqual([0, 1, 2])
      for (const [name, info] of whole.tensors) {
        expect(readTensor(joined, joined.tensors.get(name)!)).toEqual(readTensor(whole, info))
      }
    })
  }

  test("unless a part is missing, which it names", () =>
    inDirectory(async (path) => {
      for (const number of [1, 3]) copyFileSync(`${golden}/${part(number)}`, path(part(number)))
      expect(await failureOf(readGguf(path(part(3))))).toMatchObject({
        _tag: "MissingPart",
        path: path(part(2)),
        part: 2,
        partCount: 3
      })
    }))

  const invalid: ReadonlyArray<readonly [string, string, Uint8Array, Uint8Array]> = [
    ["parts are swapped", "it is part 2, not 1", written(2, "b"), written(1, "a")],
    ["a tensor is in both", "tensor a is in two parts", written(1, "a"), written(2, "a")],
    [
      "tensors are missing",
      "hold 2 tensors, the first one promises 5",
      written(1, "a", [entry("split.tensors.count", 5, u32(5))]),
      written(2, "b")
    ],
    ["a part is no part", "it is one of 1 parts, not of 2", written(1, "a"), file({})]
  ]
  for (const [what, reason, first, second] of invalid) {
    test(`unless ${what}`, () =>
      inDirectory(async (path) => {
        writeFileSync(path(part(1, 2)), first)
        writeFileSync(path(part(2, 2)), second)
        const error = await failureOf(readGguf(path(part(1, 2))))
        expect(error._tag).toBe("InvalidSplit")
        expect(error.message).toContain(reason)
      }))
  }

  test("unless the parts were renamed", () =>
    inDirectory(async (path) => {
      copyFileSync(`${golden}/${part(1)}`, path("model.gguf"))
      expect(await failureOf(readGguf(path("model.gguf")))).toMatchObject({ _tag: "InvalidSplit" })
      renameSync(path("model.gguf"), path(part(1, 4)))
      expect(await failureOf(readGguf(path(part(1, 4))))).toMatchObject({ _tag: "InvalidSplit" })
    }))

  test("and takes an ordinary file with such a name for what it is", () =>
    inDirectory(async (path) => {
      writeFileSync(path(part(1)), readFileSync(`${golden}/little.gguf`))
      expect((await Effect.runPromise(readGguf(path(part(1))))).files).toHaveLength(1)
    }))
})
