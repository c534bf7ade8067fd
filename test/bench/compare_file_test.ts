// Goal: a comparison runs every engine on the same text, and counts the same bytes for the peer as for our dense run.
// Method: a tiny planted model on the CPU, a fake peer that takes made-up seconds, a made-up bandwidth.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { compareFile, type CompareOptions } from "../../bench/compare_file.ts"
import { writePlantedModel } from "../../bench/planted_model.ts"
import { plantedShapes } from "../../bench/planted_shapes.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-compare-"))
const file = join(folder, "planted.gguf")
beforeAll(() => {
  const weights = {
    shape: plantedShapes.tiny,
    type: "Q8_0",
    activity: { activeShare: 0.1, hotNeurons: 0.2, hotShare: 0.8 },
    variation: { rank: 16, lowRankShare: 0.9 },
    seed: 7
  } as const
  return Effect.runPromise(writePlantedModel(file, "planted", weights))
})
afterAll(() => rmSync(folder, { recursive: true }))

const fakePeer = (manner: string) => (model: string, threads: number, contextLength: number) => {
  const script = join(import.meta.dir, "fake_peer.ts")
  return [process.execPath, script, manner, model, String(threads), String(contextLength)]
}

const compare = (options: Partial<CompareOptions>) =>
  Effect.runPromise(
    compareFile(
      file,
      {
        threads: [1],
        promptTokens: [12],
        tokens: 6,
        predictors: [],
        seed: 1,
        peer: undefined,
        repetitions: 2,
        otherLoadMax: 0.1,
        retriesMax: 0,
        probe: () => Effect.succeed({ memory: 2e9, mapped: 1e9 }),
        watch: () => () => 0.05,
        ...options
      },
      () => {}
    )
  )

describe("compareFile()", () => {
  test("measures our dense run, the peer and each predictor, for every number of threads and length of prompt", async () => {
    const predictors = ["exact_gate", "./bench/replayed_oracle.ts", "oracle_top_k:share=0.3"]
    const { comparisons, notes } = await compare({
      threads: [1, 2],
      promptTokens: [4, 12],
      predictors,
      peer: fakePeer("answers")
    })
    expect(comparisons.map(({ threads, promptTokens }) => [threads, promptTokens])).toEqual([
      [1, 4],
      [1, 12],
      [2, 4],
      [2, 12]
    ])
    for (const { engines, promptTokens, model } of comparisons) {
      expect(model).toBe("planted")
      expect(engines.map(({ name, role }) => [name, role])).toEqual([
        ["every_neuron", "dense"],
        ["llama.cpp 1.2.3", "peer"],
        ["exact_gate", "sparse"],
        ["replayed_oracle", "sparse"],
        ["oracle_top_k:share=0.3", "sparse"]
      ])
      const [dense, peer, gate, oracle] = engines
      // Four prompt tokens a second, two decoded ones, whatever the length: it was asked for what we ran.
      expect(peer!.figures.prefillTokensPerSecond).toEqual({ median: 4, min: 4, max: 4 })
      expect(peer!.figures.decodeTokensPerSecond).toEqual({ median: 2, min: 2, max: 2 })
      expect(peer!.figures.weightBytesPerToken).toBe(dense!.figures.weightBytesPerToken)
      expect(peer!.figures.cacheBytesPerToken).toBe(dense!.figures.cacheBytesPerToken)
      const { blockCount, kvHeadCount, hiddenWidth, headCount } = plantedShapes.tiny
      // Up to each token's own position, 3.5 of the 6 decoded ones on average.
      const positions = promptTokens + 3.5
      expect(peer!.figures.cacheBytesPerToken).toBe(
        (positions * 4 * blockCount * kvHeadCount * hiddenWidth) / headCount
      )
      expect(dense!.bound).toBeUndefined()
      expect(peer!.bound).toBeUndefined()
      expect(gate!.bound).toBeGreaterThan(1)
      expect(oracle!.bound).toBeGreaterThan(gate!.bound!)
      for (const engine of engines) {
        expect(engine.figures.bandwidthBytesPerSecond.median).toBe(2e9)
        expect(engine.mappedBandwidth.median).toBe(1e9)
        expect(engine.otherLoad).toBeCloseTo(0.05, 9)
      }
    }
    expect(notes).toEqual([
      expect.stringContaining("planted.gguf: llama.cpp does not read llama.hidden_activation (relu)")
    ])
  })

  test("measures a sparse model with exact_gate where no predictor is named, and without a peer where none is wanted", async () => {
    const { comparisons, notes } = await compare({})
    expect(comparisons[0]!.engines.map(({ name }) => name)).toEqual(["every_neuron", "exact_gate"])
    expect(notes).toEqual([])
  })

  test("goes on without a peer that cannot load the file, and says so", async () => {
    const { comparisons, notes } = await compare({ peer: fakePeer("refuses") })
    expect(comparisons[0]!.engines.map(({ name }) => name)).toEqual(["every_neuron", "exact_gate"])
    expect(notes).toEqual([
      `planted.gguf: measured without llama.cpp, which does not load it (unknown architecture of ${file})`
    ])
  })

  test("fails with a peer that dies on the way", async () => {
    await expect(compare({ peer: fakePeer("dies") })).rejects.toThrow("it ended with code 3")
  })

  test("counts passes that were disturbed", async () => {
    const { comparisons } = await compare({ watch: () => () => 0.5, retriesMax: 1 })
    for (const engine of comparisons[0]!.engines) {
      expect(engine).toMatchObject({ discardedCount: 2, disturbedCount: 2, otherLoad: 0.5 })
    }
  })
})
