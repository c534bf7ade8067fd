// Goal: a placement plan comes back from its file as it was, and a damaged one is refused in words.
// Method: a plan with shares of all three forms, through a temporary file; then the same file with single values changed.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  identityOf,
  type Model,
  openModel,
  planFile,
  type PlanFile,
  readShares,
  sharesOf,
  writeShares
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-plan-"))
const path = join(folder, "plan.json")
afterAll(() => rmSync(folder, { recursive: true }))

let models: Readonly<Record<"own" | "other", Model>>
let plan: PlanFile
beforeAll(async () => {
  const open = (name: string, seed: number) =>
    Effect.andThen(
      writeTinyModel(join(folder, name), { family: "llama", seed, activation: "relu", shape: { blockCount: 3 } }),
      openModel(join(folder, name))
    )
  models = await Effect.runPromise(Effect.all({ own: open("own.gguf", 1), other: open("other.gguf", 2) }))
  plan = {
    model: await Effect.runPromise(identityOf(models.own)),
    home: 1,
    devices: [
      { name: "graphics", backend: "cuda", memoryBytes: 5e9, bandwidthBytesPerSecond: 1e12, handOffSeconds: 1e-5 },
      { name: "cpu", memoryBytes: 2e10 }
    ],
    devicesPresent: false,
    policy: { name: "some_policy", version: "1.2.3", options: { group: 64 } },
    profile: { sha256: "0".repeat(64), tokenCount: 1000 },
    contextLength: 128,
    cacheType: "q8_0",
    reservedBytes: { cacheBytes: 1, predictorBytes: 2, workspaceBytes: 3 },
    shares: writeShares(shares),
    notes: ["a word"],
    prediction: {
      tokensPerSecond: 12.5,
      bytesPerToken: 1e6,
      cachePositions: 64,
      selection: { proposes: "some", confirms: true, candidateShare: 0.2 },
      seconds: { attention: 1, cache: 2, output: 3, ffn: 4, predictor: 5, handOff: 6, overhead: 7 }
    }
  }
})

const shares = sharesOf(
  [
    new Uint8Array(96),
    new Uint8Array(96).fill(1),
    Uint8Array.from({ length: 96 }, (_, neuron) => (neuron % 3 === 0 ? 1 : 0))
  ],
  2
)

describe("planFile", () => {
  test("reads back what it wrote, shares bit for bit", async () => {
    await Effect.runPromise(planFile.write(path, plan))
    const read = await Effect.runPromise(planFile.read(path, models.own))
    expect(read).toEqual(plan)
    const opened = await Effect.runPromise(readShares(read, models.own.shape, "a reader"))
    expect(opened).toEqual({ home: 1, shares, notes: ["a word"] })
    expect(read.shares[0]).toEqual(["all", "none"])
  })

  test("is refused for another model by name", async () => {
    const result = await Effect.runPromise(Effect.result(planFile.read(path, models.other)))
    expect(result._tag === "Failure" && result.failure.message).toContain("made for tiny-llama-1")
    expect(result._tag === "Failure" && result.failure.message).toContain("powerinfer place")
  })
})

describe("readShares()", () => {
  const refusal = (change: Partial<PlanFile>) =>
    Effect.runPromise(
      Effect.map(Effect.result(readShares({ ...plan, ...change }, models.own.shape, "a reader")), (result) =>
        result._tag === "Failure" ? result.failure.message : "a plan"
      )
    )

  test("refuses what an editor may have made of a plan", async () => {
    const bits = plan.shares[2]![0]!
    const [first, second, third] = plan.shares
    expect(await refusal({ home: 2 })).toContain("the home is device 2 of 2")
    expect(await refusal({ shares: [first!, second!] })).toContain("the plan has 2 blocks, the model 3")
    expect(await refusal({ shares: [["all", "all"], second!, third!] })).toContain("neuron 0 on two devices")
    expect(await refusal({ shares: [first!, second!, [bits, bits]] })).toContain("on two devices")
    expect(await refusal({ shares: [first!, second!, [bits, "none"]] })).toContain("on no device")
    expect(await refusal({ shares: [first!, second!, [bits, "no base64!"]] })).toContain("a share of 0 words")
    expect(await refusal({ shares: [first!, second!, [bits, bits.slice(4)]] })).toContain("96 neurons take 3")
  })
})

test("planFile names the place of a value that is none", async () => {
  const json = JSON.parse(readFileSync(path, "utf8"))
  writeFileSync(path, JSON.stringify({ ...json, devices: [{ name: "cpu" }, { name: "cpu" }] }))
  const result = await Effect.runPromise(Effect.result(planFile.read(path)))
  expect(result._tag === "Failure" && result.failure.message).toContain("memoryBytes")
})
