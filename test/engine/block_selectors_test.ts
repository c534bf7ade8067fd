// Goal: where blocks differ, the token loop asks `select` only in blocks that propose some neurons, and hands each native block its own native selector.
// Method: a plan whose selector and device say what they were asked; logits against the plan as it was.
import { expect, test } from "bun:test"
import { Batch, type Device, type NeuronSelector, openForward, type OpenPlan, openCache } from "@powerinfer/core"
import { Effect } from "effect"
import { exactGate, models, withPlan } from "../support/plans.ts"

const logitsOf = (plan: OpenPlan): Promise<Float32Array> =>
  Effect.gen(function* () {
    const cache = yield* openCache(plan, 2, "f16")
    const batch = new Batch(2)
    batch.add(1, 0, cache, false)
    batch.add(300, 1, cache, true)
    return openForward(plan)(batch)!.slice()
  }).pipe(Effect.scoped, Effect.runPromise)

test("forward() asks select only where some neurons are proposed, and natively only where a block has a native selector", () =>
  withPlan(models.f16, { predictor: exactGate }, async (plan) => {
    const asked: Array<number> = []
    const askedNatively: Array<readonly [block: number, predictor: number]> = []
    const every = { proposes: "every" } as const
    const some = { proposes: "some" } as const
    const selector: NeuronSelector = {
      ...some,
      confirms: true,
      exact: false,
      selectionBytes: [1, 10, 100, 1000, 10_000, 100_000],
      blocks: [every, some, { ...some, native: { predictor: 7 } }, every, { ...some, native: { predictor: 9 } }, some],
      select: (block, _hidden, active) => {
        asked.push(block)
        active.fill()
      }
    }
    const [device] = plan.devices
    const watched: Device = {
      ...device!,
      startSelectedFfn: (block, hidden, { predictor }, confirms) => {
        askedNatively.push([block, predictor])
        return device!.startFfn(block, hidden, undefined, confirms)
      }
    }
    const mixed = {
      ...plan,
      devices: [watched],
      home: watched,
      selector,
      selections: { bytes: 0 },
      selectedBy: selector.blocks!.map((block) => ("native" in block ? ("holder" as const) : ("engine" as const)))
    }
    expect(await logitsOf(mixed)).toEqual(await logitsOf(plan))
    expect(asked).toEqual([1, 5])
    expect(askedNatively).toEqual([
      [2, 7],
      [4, 9]
    ])
    expect(mixed.selections.bytes).toBe(110_110)
  }))
