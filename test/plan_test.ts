// Goal: checkPlan() accepts a plan if and only if every neuron of every block lives on exactly one device.
// Method: plans by hand; then seeded random divisions, each spoiled by one bit.
import { expect, test } from "bun:test"
import { checkPlan, type NeuronShare, type PlacementPlan } from "@powerinfer/core"
import { Effect } from "effect"
import { randomFromSeed } from "../core/sampler/random.ts"

const shape = { blockCount: 2, ffnWidth: 70 }
const wordCount = 3

const reasonOf = async (plan: PlacementPlan, deviceCount: number): Promise<string | undefined> => {
  const exit = await Effect.runPromise(Effect.result(checkPlan(plan, shape, deviceCount)))
  return exit._tag === "Failure" ? exit.failure.message : undefined
}
const bothBlocks = (...shares: ReadonlyArray<NeuronShare>): PlacementPlan => ({ home: 0, shares: [shares, shares] })
const words = (...values: ReadonlyArray<number>): Uint32Array => Uint32Array.from(values)

test("checkPlan() accepts whole blocks on one device", async () => {
  expect(await reasonOf(bothBlocks("all"), 1)).toBeUndefined()
  expect(await reasonOf(bothBlocks("none", "all"), 2)).toBeUndefined()
  expect(
    await reasonOf(
      {
        home: 1,
        shares: [
          ["all", "none"],
          ["none", "all"]
        ]
      },
      2
    )
  ).toBeUndefined()
})

test("checkPlan() accepts a division into bitsets", async () => {
  const even = words(0x55555555, 0x55555555, 0x15)
  const odd = words(0xaaaaaaaa, 0xaaaaaaaa, 0x2a)
  expect(await reasonOf(bothBlocks(even, odd), 2)).toBeUndefined()
})

const wrong: ReadonlyArray<readonly [why: string, plan: PlacementPlan, deviceCount: number, named: string]> = [
  ["no device", { home: 0, shares: [] }, 0, "the home is device 0 of 0"],
  ["a home that is not there", { ...bothBlocks("all"), home: 1 }, 1, "the home is device 1 of 1"],
  ["a home that is no index", { ...bothBlocks("all"), home: 0.5 }, 1, "the home is device 0.5 of 1"],
  ["too few blocks", { home: 0, shares: [["all"]] }, 1, "the plan has 1 blocks, the model 2"],
  ["a missing device", bothBlocks("all"), 2, "block 0 has shares for 1 devices, there are 2"],
  ["all neurons twice", bothBlocks("all", "all"), 2, "block 0 has neuron 0 on two devices"],
  ["all neurons nowhere", bothBlocks("none", "none"), 2, "block 0 has neuron 0 on no device"],
  ["a short bitset", bothBlocks("all", words(0, 0)), 2, "a share of 2 words for device 1"],
  ["the last neuron nowhere", bothBlocks(words(0xffffffff, 0xffffffff, 0x1f)), 1, "neuron 69 on no device"],
  [
    "a neuron beyond the last",
    bothBlocks(words(0xffffffff, 0xffffffff, 0x7f)),
    1,
    "neurons at 70 or above on device 0"
  ],
  ["one neuron twice", bothBlocks("all", words(0, 0x80000000, 0)), 2, "neuron 63 on two devices"]
]

for (const [why, plan, deviceCount, named] of wrong) {
  test(`checkPlan() refuses ${why}`, async () => {
    const reason = await reasonOf(plan, deviceCount)
    expect(reason).toStartWith("Cannot place the model with ")
    expect(reason).toContain(named)
  })
}

for (let seed = 1; seed <= 20; seed++) {
  test(`checkPlan() accepts a random division and names the neuron that is then moved (seed ${seed})`, async () => {
    const random = randomFromSeed(seed)
    const shares = [0, 1, 2].map(() => new Uint32Array(wordCount))
    for (let neuron = 0; neuron < shape.ffnWidth; neuron++) {
      shares[random.nextU32() % 3]![neuron >>> 5]! |= 1 << (neuron & 31)
    }
    expect(await reasonOf(bothBlocks(...shares), 3)).toBeUndefined()
    const neuron = random.nextU32() % shape.ffnWidth
    const device = random.nextU32() % 3
    shares[device]![neuron >>> 5]! ^= 1 << (neuron & 31)
    expect(await reasonOf(bothBlocks(...shares), 3)).toMatch(new RegExp(`neuron ${neuron} on (no|two) device`))
  })
}
