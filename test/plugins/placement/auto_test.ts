// Goal: auto keeps the contract of placement policies, and chooses as its README says: all on the fastest device, else its memory filled, else another home.
// Method: the contract suite; then a tiny model on a fast device and a slow one, with memory given by what the parts of the model take.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  checkPlan,
  type DeviceFacts,
  homeMemoryBytes,
  loadPlugin,
  type Model,
  neuronMemoryBytes,
  ownersOf,
  type PlacementPlan
} from "@powerinfer/core"
import { openTinyModel, placementContract } from "@powerinfer/core/testing"
import plugin, { auto } from "@powerinfer/placement-auto"
import { Effect } from "effect"
import { writeProfile } from "../../support/placements.ts"

describe("contract", () => placementContract({ test, plugin }))

const folder = mkdtempSync(join(tmpdir(), "powerinfer-auto-"))
afterAll(() => rmSync(folder, { recursive: true }))

const reservedBytes = { cacheBytes: 50_000, predictorBytes: 1000, workspaceBytes: 2000 }
const fast = { name: "fast", bandwidthBytesPerSecond: 8e9, handOffSeconds: 1e-9 }
const slow = { name: "slow", bandwidthBytesPerSecond: 1e9, memoryBytes: 2 ** 30 }

/** [block]: the share of its neurons that the device holds. */
const sharesOn = (device: number, plan: PlacementPlan, { shape: { ffnWidth } }: Model) =>
  ownersOf(plan, ffnWidth).map((block) => block.filter((owner) => owner === device).length / ffnWidth)

const placeWith = (
  memoryOf: (model: Model) => number,
  options: { readonly profiled?: boolean; readonly devices?: (memory: number) => ReadonlyArray<DeviceFacts> } = {}
) =>
  Effect.gen(function* () {
    const shape = { blockCount: 4, ffnWidth: 96 }
    const model = yield* openTinyModel({ family: "llama", seed: 5, activation: "relu", shape })
    const profile = options.profiled ? yield* writeProfile(folder, model) : undefined
    const memoryBytes = memoryOf(model)
    const devices = options.devices?.(memoryBytes) ?? [slow, { ...fast, memoryBytes }]
    const { open } = yield* loadPlugin(auto({ ...(profile !== undefined && { profile }) }))
    const plan = yield* open({ model, devices, reservedBytes })
    yield* checkPlan(plan, model.shape, devices.length, "auto")
    return { model, plan }
  }).pipe(Effect.scoped, Effect.runPromise)

const home = (model: Model) => homeMemoryBytes(model, reservedBytes)

test("auto puts everything on the fastest device if weights and what is reserved fit to the byte", async () => {
  const { plan } = await placeWith((model) => home(model) + neuronMemoryBytes(model))
  expect(plan.home).toBe(1)
  expect(plan.shares).toEqual(Array.from({ length: 4 }, () => ["none", "all"]))
  expect(plan.notes).toEqual([expect.stringMatching(/^auto: the whole model is on fast \(/)])
})

test("auto fills the fastest device where a byte is missing for everything", async () => {
  const { model, plan } = await placeWith((one) => home(one) + neuronMemoryBytes(one) - 1)
  expect(plan.home).toBe(1)
  const shares = sharesOn(1, plan, model)
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeGreaterThan(3.9)
  expect(plan.notes).toEqual([expect.stringMatching(/^auto: attention on fast, .*% of the neurons on fast/)])
})

test("auto divides every block where that is faster by its speed model, and none where a hand-off costs more", async () => {
  const half = (model: Model) => home(model) + 0.5 * neuronMemoryBytes(model)
  const even = await placeWith(half)
  expect(sharesOn(1, even.plan, even.model)).toEqual([0.5, 0.5, 0.5, 0.5])
  // Two blocks hand over instead of four.
  const devices = (memoryBytes: number) => [
    { ...slow, handOffSeconds: 1 },
    { ...fast, memoryBytes }
  ]
  const whole = await placeWith(half, { devices })
  expect(sharesOn(1, whole.plan, whole.model)).toEqual([0, 0, 1, 1])
  expect(whole.plan.notes).toEqual([expect.stringMatching(/: whole blocks$/)])
})

test("auto puts the neurons on the fastest device that fire most often, by a profile", async () => {
  const third = (model: Model) => home(model) + neuronMemoryBytes(model) / 3
  const { model, plan } = await placeWith(third, { profiled: true })
  // In the profile the first neurons fire most often.
  for (const block of ownersOf(plan, model.shape.ffnWidth))
    expect(block.slice(0, 24)).toEqual(new Uint8Array(24).fill(1))
  expect(plan.notes).toEqual([expect.stringMatching(/fire most often$/)])
})

test("auto makes another device the home where attention and the KV cache lack a byte, and says so", async () => {
  const { model, plan } = await placeWith((one) => home(one) - 1)
  expect(plan.home).toBe(0)
  expect(sharesOn(1, plan, model).some((share) => share > 0)).toBeTrue()
  expect(plan.notes).toContain("auto: attention and the KV cache do not fit on fast")
})

test("auto takes the first device for the fastest where nobody has measured, and says how to", async () => {
  const devices = (memoryBytes: number) => [
    { name: "first", memoryBytes },
    { name: "second", memoryBytes }
  ]
  const { plan } = await placeWith(() => 2 ** 30, { devices })
  expect(plan.home).toBe(0)
  expect(plan.notes).toEqual([expect.stringContaining("on first"), expect.stringContaining("powerinfer devices")])
})

test("auto() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(auto()))).plugin).toBe(plugin)
})
