// Goal: the measured bandwidth is one that memory can have, and what stands in the way of measuring is named.
// Method: a small buffer and a small file, read by one thread; the bounds are those of any machine.
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { measureBandwidth } from "../../core/native/measure_bandwidth.ts"

const model = "models/relu-llama-7m/relu-llama-7m-f16.gguf"

describe("measureBandwidth", () => {
  test("measures a speed that memory can have", async () => {
    const bytesPerSecond = await Effect.runPromise(measureBandwidth({ sizeBytes: 2 ** 24, repetitions: 2, threads: 1 }))
    expect(bytesPerSecond).toBeGreaterThan(1e8)
    expect(bytesPerSecond).toBeLessThan(1e13)
  })

  test("measures a file's mapping, and says which file cannot be mapped", async () => {
    const bytesPerSecond = await Effect.runPromise(measureBandwidth({ file: model, repetitions: 2, threads: 1 }))
    expect(bytesPerSecond).toBeGreaterThan(1e8)
    expect(bytesPerSecond).toBeLessThan(1e13)
    const failure = await Effect.runPromise(Effect.flip(measureBandwidth({ file: "/nowhere/model.gguf" })))
    expect(failure).toMatchObject({ _tag: "BandwidthUnknown", reason: expect.stringContaining("/nowhere/model.gguf") })
  })
})
