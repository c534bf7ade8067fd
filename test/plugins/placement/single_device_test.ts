// Goal: single_device keeps the contract of placement policies and puts everything on the first device.
import { describe, expect, test } from "bun:test"
import { loadPlugin, type Model } from "@powerinfer/core"
import { placementContract } from "@powerinfer/core/testing"
import plugin, { singleDevice } from "@powerinfer/placement-single-device"
import { Effect } from "effect"

describe("contract", () => placementContract({ test, plugin }))

test("single_device gives the first device every neuron and the home", async () => {
  const devices = ["first", "second"].map((name) => ({ name, memoryBytes: 1 }))
  const plan = await Effect.runPromise(
    Effect.scoped(plugin.open({}, { model: { shape: { blockCount: 3 } } as Model, devices }))
  )
  expect(plan).toEqual({ home: 0, shares: Array.from({ length: 3 }, () => ["all", "none"]) })
})

test("singleDevice() loads as the plugin that its module exports", async () => {
  expect((await Effect.runPromise(loadPlugin(singleDevice()))).plugin).toBe(plugin)
})
