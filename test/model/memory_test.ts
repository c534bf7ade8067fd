// Goal: estimates and facts that `inspect` prints are those of the file.
// Method: a tiny model whose sizes can be counted by hand.
import { expect, test } from "bun:test"
import { estimateMemory } from "@powerinfer/core"
import { tinyModel, type TinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { sparsityFacts, speedupBound } from "../../core/model/sparsity_facts.ts"
import { described } from "../support/described.ts"

const describeTiny = (model: Partial<TinyModel>) =>
  Effect.runPromise(described(tinyModel({ family: "llama", seed: 1, activation: "relu", ...model })))
const options = { contextLength: 100, cacheType: "f16", rowCountMax: 8 } as const

test("estimateMemory() counts every tensor of the file once", async () => {
  for (const family of ["llama", "falcon", "opt"] as const) {
    const model = await describeTiny({ family })
    const fileBytes = [...model.gguf.tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    expect(estimateMemory(model, options).weightBytes).toBe(fileBytes)
  }
  const [tied, untied] = [await describeTiny({ tied: true }), await describeTiny({})]
  const outputBytes = untied.output.weight.sizeBytes
  expect(estimateMemory(tied, options).weightBytes).toBe(estimateMemory(untied, options).weightBytes - outputBytes)
})

test("estimateMemory() counts keys and values of every block and position", async () => {
  const model = await describeTiny({})
  // 2 blocks, keys and values, 100 positions, 2 heads of 16.
  expect(estimateMemory(model, options).cacheBytes).toBe(2 * 2 * 100 * 32 * 2)
  expect(estimateMemory(model, { ...options, cacheType: "f32" }).cacheBytes).toBe(2 * 2 * 100 * 32 * 4)
  const wide = await describeTiny({ shape: { headCount: 2 } })
  // One head of 32: a block of 34 bytes.
  expect(estimateMemory(wide, { ...options, cacheType: "q8_0" }).cacheBytes).toBe(2 * 2 * 100 * 34)
})

test("estimateMemory() adds a second down only for sparse runs of files that have it by output", async () => {
  const downBytes = 2 * 64 * 96 * 4
  expect(estimateMemory(await describeTiny({}), options).repackedDownBytes).toBe(downBytes)
  expect(estimateMemory(await describeTiny({ downByNeuron: true }), options).repackedDownBytes).toBe(0)
  expect(estimateMemory(await describeTiny({ activation: "silu" }), options).repackedDownBytes).toBe(0)
  expect(estimateMemory(await describeTiny({}), { ...options, sparse: false }).repackedDownBytes).toBe(0)
})

test("estimateMemory() totals its parts", async () => {
  const { totalBytes, ...parts } = estimateMemory(await describeTiny({}), options)
  expect(parts.workspaceBytes).toBeGreaterThan(0)
  expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(totalBytes)
})

test("sparsityFacts() says which share of a token's bytes the FFN and its gate are", async () => {
  const model = await describeTiny({ shape: { vocabularySize: 400 } })
  const facts = sparsityFacts(model)
  const ffnBytes = 2 * 3 * 64 * 96 * 4
  const attentionBytes = 2 * (64 * 64 + 2 * 64 * 32 + 64 * 64) * 4
  expect(facts.ffnBytes).toBe(ffnBytes)
  expect(facts.tokenBytes).toBe(ffnBytes + attentionBytes + 64 * 400 * 4 + 64 * 4)
  expect(facts.gateShare).toBeCloseTo(facts.ffnShare / 3, 12)
})

test("speedupBound() is 1 without sparsity and 1 / (1 − f) when nothing fires", () => {
  expect(speedupBound(0.8, 0)).toBe(1)
  expect(speedupBound(0.75, 1)).toBe(4)
  expect(speedupBound(0.5, 0.5)).toBeCloseTo(4 / 3, 12)
})
