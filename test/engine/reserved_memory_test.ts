// Goal: a placement policy hears what else takes memory, and what it says about its plan reaches people.
// Method: a policy that says what it was told, through openPlan, against the estimate of the same session.
import { expect, test } from "bun:test"
import { estimateMemory, openModel, openPlan, type PlanOptions, usePlugin } from "@powerinfer/core"
import { Effect } from "effect"
import { planOptions } from "../support/plans.ts"
import saysReserved from "../support/plugins/says_reserved.ts"

const path = "test/golden/families/llama-gqa-relu.gguf"

const reservedWith = (options: Partial<PlanOptions>) =>
  Effect.gen(function* () {
    const model = yield* openModel(path)
    const lines: Array<string> = []
    yield* openPlan(model, planOptions({ ...options, placement: usePlugin(saysReserved) }), (line) => lines.push(line))
    const said = lines.find((line) => line.startsWith("{"))
    return { model, said: JSON.parse(said ?? "null") as unknown }
  }).pipe(Effect.scoped, Effect.runPromise)

test("openPlan() has policies leave room for the KV cache of a session and the workspace of a batch", async () => {
  const session = { contextLength: 96, cacheType: "f32" } as const
  const { model, said } = await reservedWith({ session, rowCountMax: 7 })
  const { cacheBytes, workspaceBytes } = estimateMemory(model, { ...session, rowCountMax: 7 })
  expect(cacheBytes).toBeGreaterThan(0)
  expect(said).toEqual({ cacheBytes, predictorBytes: 0, workspaceBytes })
})

test("openPlan() leaves room for no KV cache where nobody says what sessions are like", async () => {
  expect((await reservedWith({})).said).toMatchObject({ cacheBytes: 0 })
})
