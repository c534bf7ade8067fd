// Goal: opening a device checks options and memory before anything is computed, and says what the machine has.
// Method: the trained model of the repository; limits just above and below what it takes.
import { describe, expect, test } from "bun:test"
import { type CacheType, estimateMemory, loadPlugin, openModel, optionFields, readMachine } from "@powerinfer/core"
import { cpu, CpuOptions } from "@powerinfer/backend-cpu"
import { Effect } from "effect"
import { openOnCpu, reluModel } from "./open_on_cpu.ts"

const model = await Effect.runPromise(openModel(reluModel))
const rowCountMax = 8
const openedBytes = estimateMemory(model, { contextLength: 0, cacheType: "f16", rowCountMax, sparse: false }).totalBytes
const cacheBytes = (contextLength: number, cacheType: CacheType) =>
  estimateMemory(model, { contextLength, cacheType, rowCountMax, sparse: false }).cacheBytes

const openWithin = (memoryLimitBytes: number) => openOnCpu(reluModel, { memoryLimitBytes, threads: 1 }, { rowCountMax })

describe("the options of the CPU backend", () => {
  test("are fields with a description each", () => {
    const fields = optionFields(CpuOptions)
    expect(fields.map(({ key, kind, default: value }) => [key, kind, value])).toEqual([
      ["threads", "integer", 0],
      ["isa", "choice", "auto"],
      ["weights", "choice", "resident"],
      ["repack", "boolean", true],
      ["memoryLimitBytes", "number", undefined]
    ])
    for (const field of fields) expect(field.description).toBeString()
  })

  const refused = [
    { threads: -1 },
    { threads: 1.5 },
    { threads: 1025 },
    { isa: "sse2" },
    { memoryLimitBytes: -1 },
    { memoryLimitBytes: Infinity }
  ]
  for (const options of refused) {
    test(`refuse ${Bun.inspect(options, { compact: true })}`, async () => {
      const failure = await Effect.runPromise(Effect.flip(loadPlugin(cpu(options as Partial<CpuOptions>))))
      expect(failure).toMatchObject({ _tag: "PluginUnavailable", name: "cpu" })
    })
  }
  test("may all be left out", async () => {
    expect(await Effect.runPromise(loadPlugin(cpu()))).toHaveProperty("open")
  })
})

describe("the facts of the CPU backend", () => {
  test("are the machine's memory", async () => {
    const { memoryBytes } = await Effect.runPromise(readMachine)
    const { backend } = await Effect.runPromise(loadPlugin(cpu()))
    expect(await Effect.runPromise(backend.facts())).toMatchObject({ name: "cpu", memoryBytes })
    expect(memoryBytes).toBeGreaterThan(2 ** 26)
  })
})

describe("the memory limit of the CPU backend", () => {
  test("refuses a model that takes one byte more", async () => {
    expect(await Effect.runPromise(Effect.flip(Effect.scoped(openWithin(openedBytes - 1))))).toMatchObject({
      _tag: "NotEnoughMemory",
      neededBytes: openedBytes,
      availableBytes: openedBytes - 1
    })
  })
  test("admits exactly as many caches as fit and takes back what a closed one used", async () => {
    const opened = Effect.gen(function* () {
      const device = yield* openWithin(openedBytes + cacheBytes(64, "f16"))
      const useHalf = Effect.scoped(device.openCache(32, "f16"))
      yield* useHalf
      yield* useHalf
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* device.openCache(32, "f16")
          const failure = yield* Effect.flip(device.openCache(32, "f32"))
          expect(failure).toMatchObject({
            _tag: "NotEnoughMemory",
            purpose: "a KV cache of 32 positions",
            neededBytes: cacheBytes(32, "f32"),
            availableBytes: cacheBytes(32, "f16")
          })
        })
      )
      yield* device.openCache(32, "f32")
    })
    await Effect.runPromise(Effect.scoped(opened))
  })
})
