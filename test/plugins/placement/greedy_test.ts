// Goal: greedy keeps the contract of placement policies and puts the neurons that fire most often on the fastest device.
// Method: the contract suite; then a tiny model with a profile, on two devices of which the first has room for half.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { homeMemoryBytes, loadPlugin, neuronBytes, ownersOf } from "@powerinfer/core"
import { openTinyModel, placementContract } from "@powerinfer/core/testing"
import plugin, { greedy } from "@powerinfer/placement-greedy"
import { Effect } from "effect"
import { writeProfile } from "../../support/placements.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-greedy-"))
afterAll(() => rmSync(folder, { recursive: true }))

describe("contract", () => placementContract({ test, plugin }))

const placed = (seed: number) =>
  Effect.gen(function* () {
    const tiny = { family: "llama", activation: "relu" } as const
    const profile = yield* writeProfile(folder, yield* openTinyModel({ ...tiny, seed: 1 }))
    const model = yield* openTinyModel({ ...tiny, seed })
    const half = neuronBytes(model).reduce((sum, { held }) => sum + (held * model.shape.ffnWidth) / 2, 0)
    const devices = [
      { name: "fast", memoryBytes: homeMemoryBytes(model) + half },
      { name: "large", memoryBytes: 2 ** 30 }
    ]
    return ownersOf(yield* plugin.open({ profile }, { model, devices }), model.shape.ffnWidth)
  }).pipe(Effect.scoped, Effect.result, Effect.runPromise)

test("greedy puts the neurons that the profile counts most often on the first device", async () => {
  const owners = (await placed(1)).pipe(Effect.fromResult, Effect.runSync)
  // In this profile, lower ids fire more often.
  for (const block of owners) expect([...block]).toEqual([...block.keys()].map((id) => (id < 48 ? 0 : 1)))
})

test("greedy refuses a profile of another model with StaleArtifact", async () => {
  const result = await placed(2)
  expect(result._tag === "Failure" && result.failure._tag).toBe("StaleArtifact")
})

test("greedy() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(greedy()))).plugin).toBe(plugin)
})
