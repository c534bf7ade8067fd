// Goal: every_neuron keeps the contract of predictors, and its own promise.
import { expect, test } from "bun:test"
import { loadPlugin, type PredictorContext } from "@powerinfer/core"
import { predictorContract } from "@powerinfer/core/testing"
import plugin, { everyNeuron } from "@powerinfer/predictor-every-neuron"
import { Effect } from "effect"

predictorContract({ test, plugin })

test("every_neuron loads by the module it names, and is exact without confirming", async () => {
  expect((await Effect.runPromise(loadPlugin(everyNeuron()))).plugin).toBe(plugin)
  const selector = await Effect.runPromise(Effect.scoped(plugin.open({}, {} as PredictorContext)))
  expect(selector).toMatchObject({ proposes: "every", exact: true, confirms: false })
})
