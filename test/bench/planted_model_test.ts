// Goal: a planted model runs, and as many of its neurons fire as were planted, from the first block to the last.
// Method: the tiny shape through the reference backend on text that the model writes itself; activations are counted block by block.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import backendReference from "@powerinfer/backend-reference"
import { Batch, openModel, openTokenizer, type OpenPlan, usePlugin } from "@powerinfer/core"
import { Effect } from "effect"
import { plantedShapes, writePlantedModel } from "../../bench/planted_model.ts"
import type { PlantedType } from "../../bench/planted_types.ts"
import { withPlan } from "../support/plans.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-planted-"))
afterAll(() => rmSync(folder, { recursive: true }))

const write = async (type: PlantedType, activeShare: number, seed: number): Promise<string> => {
  const path = join(folder, `${type}-${activeShare}-${seed}.gguf`)
  const weights = { shape: plantedShapes.tiny, type, activeShare, seed }
  await Effect.runPromise(writePlantedModel(path, "planted", weights))
  return path
}

/** Share of neurons above zero in each block, over different tokens at increasing positions. */
const sharesOf = async (plan: OpenPlan): Promise<ReadonlyArray<number>> => {
  const { blockCount, ffnWidth } = plan.model.shape
  const rowCount = 32
  const batch = new Batch(rowCount)
  const activations = new Float32Array(rowCount * ffnWidth)
  const shares: Array<number> = []
  await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const cache = yield* plan.home.openCache(rowCount, "f32")
        for (let row = 0; row < rowCount; row++) batch.add((row * 97 + 11) % 512, row, cache, false)
        plan.home.embed(batch)
        for (let block = 0; block < blockCount; block++) {
          const hidden = plan.home.attend(batch, block)
          plan.home.activations(block, hidden, activations)
          shares.push(activations.filter((value) => value !== 0).length / activations.length)
          plan.home.mergeFfn(block, [plan.home.startFfn(block, hidden, undefined, false)])
        }
      })
    )
  )
  return shares
}

const backends = [usePlugin(backendReference)]

describe("writePlantedModel()", () => {
  // 256 random weights a neuron and 32 tokens: the share of a block scatters by some 4% of itself, and by what the norm of a row does.
  for (const [type, activeShare] of [
    ["F16", 0.1],
    ["Q8_0", 0.3],
    ["Q4_0", 0.1],
    ["Q8_0", 0.02]
  ] as const) {
    test(`plants a share of ${activeShare} in every block of a ${type} model (seed 1)`, async () => {
      const shares = await withPlan(await write(type, activeShare, 1), { backends, rowCountMax: 32 }, sharesOf)
      expect(shares).toHaveLength(plantedShapes.tiny.blockCount)
      for (const share of shares) {
        expect(share).toBeGreaterThan(activeShare * 0.8)
        expect(share).toBeLessThan(activeShare * 1.2)
      }
    })
  }

  test("writes the same bytes for the same seed and others for another (seeds 1, 2)", async () => {
    const first = readFileSync(await write("Q8_0", 0.1, 1))
    const again = readFileSync(await write("Q8_0", 0.1, 1))
    const other = readFileSync(await write("Q8_0", 0.1, 2))
    expect(again.equals(first)).toBeTrue()
    expect(other.equals(first)).toBeFalse()
  })

  test("writes a vocabulary that takes any text", async () => {
    const model = await Effect.runPromise(openModel(await write("Q8_0", 0.1, 1)))
    const tokenizer = await Effect.runPromise(openTokenizer(model.gguf.metadata))
    expect(tokenizer.decode(tokenizer.encode("Grüße, 你好!"))).toBe("Grüße, 你好!")
    expect(model).toMatchObject({ sparse: true, shape: { family: "llama", gateActivation: "relu" } })
  })
})
