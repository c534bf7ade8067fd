// Goal: exact_gate keeps the contract of predictors, and its own promise.
import { expect, test } from "bun:test"
import { loadPlugin, type PredictorContext } from "@powerinfer/core"
import { predictorContract } from "@powerinfer/core/testing"
import plugin, { exactGate } from "@powerinfer/predictor-exact-gate"
import { Effect } from "effect"

predictorContract({ test, plugin })

test("exact_gate loads by the module it names, and is exact by confirming", async () => {
  expect((await Effect.runPromise(loadPlugin(exactGate()))).plugin).toBe(plugin)
  const selector = await Effect.runPromise(Effect.scoped(plugin.open({}, {} as PredictorContext)))
  expect(selector).toMatchObject({ proposes: "every", exact: true, confirms: true })
})
