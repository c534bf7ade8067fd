// Goal: `down` by neuron is made once, found again, never trusted when it may be wrong, and never in anybody's way.
// Method: a copy of the trained model in a directory of its own; the file beside it is damaged in every way that happens.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { basename, dirname, join } from "node:path"
import { Effect, Fiber } from "effect"
import { scratch } from "../../../native/tiny_library.ts"
import { copyOfReluModel, openOnCpu } from "./open_on_cpu.ts"

const directory = scratch("repacked")
const directoryFor = (what: string): string => mkdtempSync(join(directory, `${what}-`))

const cacheHome = process.env["XDG_CACHE_HOME"]
let cache = ""
let path = ""
let repacked = ""
let announced: Array<string> = []

/** Copies of one age: a model that changed is another model. */
const copyOfModel = (what: string): string => {
  const copy = copyOfReluModel(directoryFor(what))
  utimesSync(copy, 1000, 1000)
  return copy
}

beforeEach(() => {
  path = copyOfModel("model")
  repacked = `${path}.down_by_neuron`
  cache = directoryFor("cache")
  process.env["XDG_CACHE_HOME"] = cache
  announced = []
})
afterAll(() => {
  if (cacheHome === undefined) delete process.env["XDG_CACHE_HOME"]
  else process.env["XDG_CACHE_HOME"] = cacheHome
})

const open = (options: { readonly repack?: boolean } = {}) =>
  Effect.scoped(
    Effect.asVoid(
      openOnCpu(
        path,
        { threads: 1, ...options },
        { sparse: true, announce: (line: string) => void announced.push(line) }
      )
    )
  )
const beside = () => readdirSync(dirname(path)).sort()
const cached = () => readdirSync(join(cache, "powerinfer", "down_by_neuron"))

/** What a sound file holds. */
let sound = new Uint8Array()
beforeAll(async () => {
  path = copyOfModel("sound")
  await Effect.runPromise(open())
  sound = Uint8Array.from(readFileSync(`${path}.down_by_neuron`))
})

describe("down by neuron", () => {
  test("is made beside the model and announced with its bytes", async () => {
    await Effect.runPromise(open())
    expect(beside()).toEqual(["model.gguf", "model.gguf.down_by_neuron"])
    const megabytes = (statSync(repacked).size / 1e6).toFixed(1)
    expect(announced).toEqual([`repacked ffn_down by neuron: ${megabytes} MB beside the model`])
  })
  test("is found again without a word and without a write", async () => {
    writeFileSync(repacked, sound)
    const { mtimeMs, ino } = statSync(repacked)
    await Effect.runPromise(open())
    expect(announced).toEqual([])
    expect(statSync(repacked)).toMatchObject({ mtimeMs, ino })
  })
  test("is not made for a run that names no neurons", async () => {
    await Effect.runPromise(Effect.scoped(openOnCpu(path, { threads: 1 }, { sparse: false })))
    expect(beside()).toEqual(["model.gguf"])
  })

  test("is not made where repack is off: the run is refused with its size, and the ways out", async () => {
    const failure = await Effect.runPromise(Effect.flip(open({ repack: false })))
    expect(failure._tag).toBe("BackendFailure")
    expect(failure.message).toContain(`${repacked} is not there or not this model's, and repack is off`)
    expect(failure.message).toContain(`every_neuron, or let it be made: ${(sound.length / 1e6).toFixed(1)} MB, once`)
    expect(beside()).toEqual(["model.gguf"])
    expect(readdirSync(cache)).toEqual([])
    expect(announced).toEqual([])
  })
  test("is left as it is where repack is off and it belongs to another model", async () => {
    const other = sound.slice()
    other[24]! ^= 1
    writeFileSync(repacked, other)
    const failure = await Effect.runPromise(Effect.flip(open({ repack: false })))
    expect(failure._tag).toBe("BackendFailure")
    expect(readFileSync(repacked).equals(other)).toBe(true)
  })
  test("is used where repack is off and it is there", async () => {
    writeFileSync(repacked, sound)
    await Effect.runPromise(open({ repack: false }))
    expect(announced).toEqual([])
  })

  const damages: ReadonlyArray<{ name: string; damage: (bytes: Uint8Array) => void }> = [
    { name: "of another model", damage: (bytes) => void (bytes[24]! ^= 1) },
    { name: "of another version", damage: (bytes) => void (bytes[8]! += 1) },
    { name: "without its header", damage: (bytes) => void bytes.fill(0, 0, 64) }
  ]
  for (const { name, damage } of damages) {
    test(`is made again instead of a file ${name}`, async () => {
      const damaged = sound.slice()
      damage(damaged)
      writeFileSync(repacked, damaged)
      await Effect.runPromise(open())
      expect(announced).toEqual([
        `${repacked} is incomplete or was made from another file: making it again`,
        expect.stringContaining("beside the model")
      ])
      expect(readFileSync(repacked).equals(sound)).toBe(true)
    })
  }
  test.each([0, 10, 64, 4096])("is made again instead of a file of its first %p bytes", async (length) => {
    writeFileSync(repacked, sound.subarray(0, length))
    await Effect.runPromise(open())
    expect(announced).toHaveLength(2)
    expect(readFileSync(repacked).equals(sound)).toBe(true)
  })
  test("is made again instead of a file that lost its last byte", async () => {
    writeFileSync(repacked, sound)
    truncateSync(repacked, sound.length - 1)
    await Effect.runPromise(open())
    expect(readFileSync(repacked).equals(sound)).toBe(true)
  })

  test("is made again when the model was changed in place, which its fingerprint may not show", async () => {
    writeFileSync(repacked, sound)
    utimesSync(path, 1000, 2000)
    await Effect.runPromise(open())
    expect(announced).toHaveLength(2)
  })
  test("takes the place of what a killed process left behind, and leaves a living one its own", async () => {
    const killed = Bun.spawnSync([process.execPath, "--version"]).pid
    const abandoned = `${repacked}.${killed}.0f8fad5b.tmp`
    const alive = `${repacked}.${process.pid}.7c9e6679.tmp`
    writeFileSync(abandoned, "half")
    writeFileSync(alive, "half")
    await Effect.runPromise(open())
    expect(beside().filter((name) => name.endsWith(".tmp"))).toEqual([basename(alive)])
  })

  test("goes to the user's cache directory where the place beside the model is taken by something else", async () => {
    mkdirSync(join(repacked, "occupied"), { recursive: true })
    await Effect.runPromise(open())
    expect(cached()).toHaveLength(1)
    expect(announced.at(-1)).toContain(`in ${join(cache, "powerinfer", "down_by_neuron")}`)
    expect(beside()).toEqual(["model.gguf", "model.gguf.down_by_neuron"])

    announced = []
    await Effect.runPromise(open())
    expect(announced).toEqual([])
  })
  test.skipIf(process.getuid?.() === 0)(
    "goes to the user's cache directory where the model's cannot be written",
    async () => {
      chmodSync(dirname(path), 0o555)
      await Effect.runPromise(open())
      chmodSync(dirname(path), 0o755)
      expect(cached()).toHaveLength(1)
      expect(beside()).toEqual(["model.gguf"])
    }
  )
  test("keeps two models of the same name apart in the user's cache directory", async () => {
    mkdirSync(join(repacked, "occupied"), { recursive: true })
    await Effect.runPromise(open())

    const bytes = readFileSync(path)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(path, bytes)
    await Effect.runPromise(open())
    expect(cached()).toHaveLength(2)
  })
  test("is refused with both reasons where neither place can be written", async () => {
    mkdirSync(join(repacked, "occupied"), { recursive: true })
    writeFileSync(join(cache, "powerinfer"), "in the way of the directory")
    const failure = await Effect.runPromise(Effect.flip(open()))
    expect(failure._tag).toBe("BackendFailure")
    expect(failure.message).toContain("ffn_down by neuron can be kept nowhere")
    expect(failure.message).toContain(repacked)
    expect(failure.message).toContain(cache)
  })

  test("is made by several at once, and each succeeds", async () => {
    await Promise.all([1, 2, 3].map(() => Effect.runPromise(open())))
    expect(beside()).toEqual(["model.gguf", "model.gguf.down_by_neuron"])
    expect(readFileSync(repacked).equals(sound)).toBe(true)
  })
  test("leaves nothing behind when it is interrupted", async () => {
    const fiber = Effect.runFork(open())
    while (!beside().some((name) => name.endsWith(".tmp"))) await new Promise((resolve) => setImmediate(resolve))
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(beside()).toEqual(["model.gguf"])
  })
})
