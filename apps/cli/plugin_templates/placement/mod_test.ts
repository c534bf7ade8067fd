// Goal: the policy keeps the contract of every placement policy, and divides by memory.
import { expect, test } from "bun:test"
import type { Model } from "@powerinfer/core"
import { placementContract } from "@powerinfer/core/testing"
import { Effect } from "effect"
import plugin from "./mod.ts"

placementContract({ test, plugin })

test("a device with three times the memory holds three times the neurons", async () => {
  const devices = [1, 3].map((memoryBytes, index) => ({ name: `device ${index}`, memoryBytes }))
  const model = { shape: { blockCount: 1, ffnWidth: 64 } } as Model
  const plan = await Effect.runPromise(Effect.scoped(plugin.open({}, { model, devices })))
  expect(plan.shares[0]).toEqual([Uint32Array.of(0xffff, 0), Uint32Array.of(0xffff0000, 0xffffffff)])
})
