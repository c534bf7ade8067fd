// Goal: our predictors keep the contract that third parties' must keep, and each keeps its own promise.
import { describe, expect, test } from "bun:test"
import { loadPlugin, type PredictorContext, type PredictorPlugin, type PluginUse } from "@powerinfer/core"
import { predictorContract } from "@powerinfer/core/testing"
import everyNeuronPlugin, { everyNeuron } from "@powerinfer/predictor-every-neuron"
import exactGatePlugin, { exactGate } from "@powerinfer/predictor-exact-gate"
import oracleTopKPlugin, { oracleTopK } from "@powerinfer/predictor-oracle-top-k"
import { Effect } from "effect"

describe("contract", () => {
  predictorContract({ test, plugin: everyNeuronPlugin })
  predictorContract({ test, plugin: exactGatePlugin })
  for (const options of [{}, { k: 1 }, { share: 1 }]) {
    describe(JSON.stringify(options), () => predictorContract({ test, plugin: oracleTopKPlugin, options }))
  }
})

const load = (use: PluginUse<"predictor">) => Effect.runPromiseExit(loadPlugin(use))

for (const use of [everyNeuron(), exactGate(), oracleTopK(), oracleTopK({ k: 3 }), oracleTopK({ share: 0.5 })]) {
  test(`${use.name} ${JSON.stringify(use.options)} loads by the module it names`, async () => {
    expect((await load(use))._tag).toBe("Success")
  })
}

for (const options of [{ k: 0 }, { k: 1.5 }, { share: 0 }, { share: 1.01 }, { k: 1, share: 0.1 }]) {
  test(`oracleTopK(${JSON.stringify(options)}) is refused when it is loaded`, async () => {
    const error = await Effect.runPromise(Effect.flip(loadPlugin(oracleTopK(options))))
    expect(error._tag).toBe("PluginUnavailable")
    expect(error.message).toContain("options are wrong")
  })
}

const selectorOf = async (predictor: PredictorPlugin) =>
  Effect.runPromise(Effect.scoped(predictor.open({}, {} as PredictorContext)))

test("every_neuron is exact without confirming, exact_gate by confirming", async () => {
  expect(await selectorOf(everyNeuronPlugin)).toMatchObject({ exact: true, confirms: false })
  expect(await selectorOf(exactGatePlugin)).toMatchObject({ exact: true, confirms: true })
})
