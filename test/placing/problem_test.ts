// Goal: a placement's question is put into the right numbers: bytes of neurons, room on devices, frequencies; what cannot be placed is refused in words.
// Method: tiny models, whose tensors are added up here by their sizes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  estimateMemory,
  homeMemoryBytes,
  type Model,
  neuronBytes,
  openModel,
  openProblem,
  type PlacementContext,
  readFrequencies
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { writeProfile } from "../support/placements.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-problem-"))
afterAll(() => rmSync(folder, { recursive: true }))

let models: Readonly<Record<"llama" | "other" | "opt", Model>>
beforeAll(async () => {
  const open = (name: string, family: "llama" | "opt", seed: number) =>
    Effect.andThen(
      writeTinyModel(join(folder, name), { family, seed, type: "Q8_0", activation: "relu" }),
      openModel(join(folder, name))
    )
  models = await Effect.runPromise(
    Effect.all({ llama: open("a.gguf", "llama", 1), other: open("b.gguf", "llama", 2), opt: open("c.gguf", "opt", 1) })
  )
})

const ask = (context: Partial<PlacementContext>, more: { readonly home?: number; readonly profile?: string } = {}) => {
  const devices = [{ name: "only", memoryBytes: 2 ** 30 }]
  return Effect.runPromise(
    Effect.result(
      openProblem({ policy: "some_policy", context: { model: models.llama, devices, ...context }, ...more })
    )
  )
}

const refusal = async (...asked: Parameters<typeof ask>): Promise<string> => {
  const result = await ask(...asked)
  return result._tag === "Failure" ? result.failure.message : "a plan"
}

test("neuronBytes() and homeMemoryBytes() add up to every weight of the model", () => {
  for (const model of Object.values(models)) {
    const { weightBytes } = estimateMemory(model, { contextLength: 0, cacheType: "f16", rowCountMax: 0 })
    const held = neuronBytes(model).reduce((sum, bytes) => sum + bytes.held * model.shape.ffnWidth, 0)
    expect(held + homeMemoryBytes(model)).toBe(weightBytes)
    for (const { held, gate, rest } of neuronBytes(model)) expect(gate + rest).toBe(held)
  }
  // Q8_0: 34 bytes for 32 weights. llama has gate, up and down; opt has up with a bias, and down.
  expect(neuronBytes(models.llama)[0]).toEqual({ held: 3 * 68, gate: 68, rest: 2 * 68 })
  expect(neuronBytes(models.opt)[0]).toEqual({ held: 2 * 68 + 4, gate: 68 + 4, rest: 68 })
})

describe("openProblem()", () => {
  test("leaves neurons what the home's weights, KV cache, predictor and workspace leave", async () => {
    const reservedBytes = { cacheBytes: 1000, predictorBytes: 200, workspaceBytes: 30 }
    const devices = [
      { name: "first", memoryBytes: 500_000 },
      { name: "second", memoryBytes: 400_000 }
    ]
    const problem = (await ask({ devices, reservedBytes })).pipe(Effect.fromResult, Effect.runSync)
    expect(problem.home).toBe(0)
    expect(problem.roomBytes).toEqual([500_000 - homeMemoryBytes(models.llama) - 1230, 400_000 - 30])
  })

  test("makes the fastest device with room for it the home, unless told which", async () => {
    const small = homeMemoryBytes(models.llama) - 1
    const devices = [
      { name: "slow", memoryBytes: 2 ** 30, bandwidthBytesPerSecond: 1e9 },
      { name: "middling", memoryBytes: 2 ** 30, bandwidthBytesPerSecond: 2e9 },
      { name: "fast", memoryBytes: small, bandwidthBytesPerSecond: 9e9 }
    ]
    const problem = (await ask({ devices })).pipe(Effect.fromResult, Effect.runSync)
    expect([problem.home, problem.fastestFirst]).toEqual([1, [2, 1, 0]])
    expect((await ask({ devices }, { home: 0 })).pipe(Effect.fromResult, Effect.runSync).home).toBe(0)
    expect(await refusal({ devices }, { home: 2 })).toContain("and fast has")
    expect(await refusal({ devices }, { home: 3 })).toContain("the home is device 3, there are 3")
  })

  test("refuses in words what cannot be placed", async () => {
    expect(await refusal({ devices: [] })).toContain("there is no device")
    expect(await refusal({ devices: [{ name: "tiny", memoryBytes: 10 }] })).toContain("no device has so much")
    const tight = [{ name: "tight", memoryBytes: homeMemoryBytes(models.llama) + 100 }]
    expect(await refusal({ devices: tight })).toContain("all devices together have")
    const halfMeasured = [
      { name: "known", memoryBytes: 2 ** 30, bandwidthBytesPerSecond: 1e9 },
      { name: "unknown", memoryBytes: 2 ** 30 }
    ]
    expect(await refusal({ devices: halfMeasured })).toContain("unknown has no bandwidth and known has one")
  })

  test("refuses a profile that was made for another model", async () => {
    const profile = await Effect.runPromise(writeProfile(folder, models.other))
    const result = await ask({}, { profile })
    expect(result._tag === "Failure" && result.failure._tag).toBe("StaleArtifact")
    expect(await refusal({}, { profile: join(folder, "none.json") })).toContain("powerinfer profile")
  })
})

test("readFrequencies() divides counts by tokens, and is 1 without a profile", async () => {
  const profile = await Effect.runPromise(writeProfile(folder, models.llama))
  const [first] = await Effect.runPromise(readFrequencies(models.llama, profile))
  expect([first![0], first![1], first![95]]).toEqual([0.5, (192 - 3) / 384, 0])
  const [plain] = await Effect.runPromise(readFrequencies(models.llama, undefined))
  expect(new Set(plain)).toEqual(new Set([1]))
})
