// Goal: plan_file opens what `powerinfer place` wrote, for the same model and the same devices only, and what it opens runs.
// Method: plans of a tiny model in temporary files; the contract suite is for policies that place any model, which a file does not. Then greedy
// tokens of a plan that divides every block between two backends, against one device.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type DeviceFacts,
  evaluateTokens,
  homeMemoryBytes,
  identityOf,
  loadPlugin,
  type Model,
  neuronBytes,
  openModel,
  type OpenPlan,
  planFile,
  type PlanFile,
  sharesOf,
  writeShares
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import plugin, { planOfFile } from "@powerinfer/placement-plan-file"
import { Effect } from "effect"
import { cpu, exactGate, has, models, reference, withPlan } from "../../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-plan-file-"))
const file = join(folder, "plan.json")
afterAll(() => rmSync(folder, { recursive: true }))

/** Every block's neurons in turns on two devices, the first of which is the home. */
const writePlan = Effect.fnUntraced(function* (path: string, model: Model, devices: ReadonlyArray<DeviceFacts>) {
  const { blockCount, ffnWidth } = model.shape
  const inTurns = Uint8Array.from({ length: ffnWidth }, (_, neuron) => neuron % devices.length)
  const plan: PlanFile = {
    model: yield* identityOf(model),
    home: 0,
    devices,
    devicesPresent: true,
    policy: { name: "in_turns", version: "1.0.0", options: {} },
    contextLength: 128,
    cacheType: "f16",
    reservedBytes: { cacheBytes: 0, predictorBytes: 0, workspaceBytes: 0 },
    shares: writeShares(
      sharesOf(
        Array.from({ length: blockCount }, () => inTurns),
        devices.length
      )
    ),
    notes: []
  }
  yield* planFile.write(path, plan)
})

let own: Model
let other: Model
const devices = ["one", "two"].map((name) => ({ name, memoryBytes: 2 ** 30 }))
beforeAll(() =>
  Effect.gen(function* () {
    for (const seed of [1, 2]) {
      yield* writeTinyModel(join(folder, `${seed}.gguf`), { family: "llama", seed, activation: "relu" })
    }
    own = yield* openModel(join(folder, "1.gguf"))
    other = yield* openModel(join(folder, "2.gguf"))
    yield* writePlan(file, own, devices)
  }).pipe(Effect.runPromise)
)

const open = (model: Model, on: ReadonlyArray<DeviceFacts>) =>
  Effect.runPromise(Effect.scoped(Effect.result(plugin.open({ file }, { model, devices: on }))))

const refusal = async (...asked: Parameters<typeof open>) => {
  const result = await open(...asked)
  return result._tag === "Failure" ? `${result.failure._tag}: ${result.failure.message}` : "a plan"
}

describe("plan_file", () => {
  test("opens the plan for the model and the devices that it was made for", async () => {
    const result = await open(own, devices)
    expect(result._tag === "Success" && result.success.shares.length).toBe(2)
  })

  test("refuses a plan of another model, and says of which", async () => {
    expect(await refusal(other, devices)).toStartWith("StaleArtifact: Cannot use the placement plan")
    expect(await refusal(other, devices)).toContain("made for tiny-llama-1")
  })

  test("refuses a plan for other devices, or for the same in another order, and names both", async () => {
    const elsewhere = await refusal(own, [{ name: "cpu", memoryBytes: 2 ** 30 }])
    expect(elsewhere).toStartWith("PlacementImpossible")
    expect(elsewhere).toContain("made for the devices one, two, these are cpu")
    expect(await refusal(own, devices.toReversed())).toContain("one, two, these are two, one")
  })

  test("refuses a plan that puts more on a device than it has memory, by a byte", async () => {
    const half = neuronBytes(own).reduce((sum, { held }) => sum + (held * own.shape.ffnWidth) / 2, 0)
    const withMemory = (home: number, second: number) => [
      { name: "one", memoryBytes: home },
      { name: "two", memoryBytes: second }
    ]
    expect(await refusal(own, withMemory(homeMemoryBytes(own) + half, half))).toBe("a plan")
    expect(await refusal(own, withMemory(homeMemoryBytes(own) + half - 1, half))).toContain("on one, which has")
    expect(await refusal(own, withMemory(homeMemoryBytes(own) + half, half - 1))).toContain("on two, which has")
  })
})

/** A prompt and its most likely continuation. */
const greedyTokens = async (plan: OpenPlan): Promise<ReadonlyArray<number>> => {
  const tokens = [1, 3258, 1922, 706]
  while (tokens.length < 16) {
    let best = 0
    const keep = (position: number, logits: Float32Array) => {
      if (position === tokens.length - 1) best = logits.indexOf(Math.max(...logits))
    }
    await Effect.runPromise(evaluateTokens(plan, tokens, { cacheType: "f32", rowCount: 16 }, keep))
    tokens.push(best)
  }
  return tokens
}

test.skipIf(!has("backend", "cpu") || !has("backend", "reference"))(
  "planOfFile() of a model divided between the cpu and the reference writes the tokens of one device",
  async () => {
    const path = models.q8_0
    const plan = join(folder, "divided.json")
    const two = ["cpu", "reference"].map((name) => ({ name, memoryBytes: 2 ** 30 }))
    await Effect.runPromise(Effect.flatMap(openModel(path), (model) => writePlan(plan, model, two)))
    const whole = await withPlan(path, { backends: [cpu()], predictor: exactGate }, greedyTokens)
    const placement = planOfFile({ file: plan })
    const backends = [cpu(), reference]
    const divided = await withPlan(path, { backends, predictor: exactGate, placement }, async (opened) => {
      expect(opened.devices.length).toBe(2)
      return greedyTokens(opened)
    })
    expect(divided).toEqual(whole)
  },
  60_000
)

test("planOfFile() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(planOfFile({ file })))).plugin).toBe(plugin)
})
