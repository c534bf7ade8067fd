// Goal: a predicted token takes the bytes that it reads over the bandwidth of who reads them, and a fit gives back the speeds that runs were made with.
// Method: a tiny model whose bytes are added up here; random frequencies, seeded; runs made up from known speeds.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  blockSeconds,
  estimateMemory,
  expectedWork,
  fitSpeed,
  type MeasuredDecode,
  type Model,
  neuronBytes,
  openModel,
  type PlacementPlan,
  predictSpeed,
  randomFromSeed,
  type Selection,
  sharesOf,
  sparsityFacts
} from "@powerinfer/core"
import { writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-speed-"))
afterAll(() => rmSync(folder, { recursive: true }))

let model: Model
beforeAll(async () => {
  const path = join(folder, "model.gguf")
  const tiny = { family: "llama", seed: 1, type: "Q8_0", activation: "relu" } as const
  model = await Effect.runPromise(Effect.andThen(writeTinyModel(path, tiny), openModel(path)))
})

const dense: Selection = { proposes: "every", confirms: false }
const exactGate: Selection = { proposes: "every", confirms: true }
const some: Selection = { proposes: "some", confirms: false }

const frequenciesOf = (share: number) => model.blocks.map(() => new Float64Array(model.shape.ffnWidth).fill(share))
const total = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0)

/** Read of a block: whole, and by rows. */
const readOf = (frequencies: ReadonlyArray<Float64Array>, selection: Selection) => {
  const [first] = expectedWork(model, frequencies, selection)
  return [first!.streamedBytes * model.shape.ffnWidth, total(first!.scatteredBytes)]
}

describe("expectedWork()", () => {
  test("reads what each way of selecting reads", () => {
    const { gate, rest } = neuronBytes(model)[0]!
    const width = model.shape.ffnWidth
    const frequencies = frequenciesOf(0.25)
    expect(readOf(frequencies, dense)).toEqual([(gate + rest) * width, 0])
    expect(readOf(frequencies, exactGate)).toEqual([gate * width, 0.25 * rest * width])
    expect(readOf(frequencies, some)).toEqual([0, 0.25 * (gate + rest) * width])
    const named = { ...some, candidateShare: 0.5 }
    expect(readOf(frequencies, named)[1]).toBeCloseTo(0.5 * (gate + rest) * width, 6)
    expect(readOf(frequencies, { ...named, confirms: true })[1]).toBeCloseTo((0.5 * gate + 0.25 * rest) * width, 6)
  })

  for (let seed = 1; seed <= 20; seed++) {
    test(`names as many neurons as are proposed, none more often than always (seed ${seed})`, () => {
      const random = randomFromSeed(seed)
      const frequencies = model.blocks.map(() =>
        Float64Array.from({ length: model.shape.ffnWidth }, () => Math.max(0, random.nextUniform() ** 3 - 0.1))
      )
      const candidateShare = random.nextUniform()
      const { gate, rest } = neuronBytes(model)[0]!
      for (const { scatteredBytes } of expectedWork(model, frequencies, { ...some, candidateShare })) {
        expect(total(scatteredBytes) / (gate + rest) / model.shape.ffnWidth).toBeCloseTo(candidateShare, 6)
        for (const bytes of scatteredBytes) expect(bytes).toBeLessThanOrEqual((gate + rest) * (1 + 1e-12))
      }
    })
  }
})

test("blockSeconds() is the slowest device's reading, and the longest hand-off of those that are not the home", () => {
  const work = { streamedBytes: 10, scatteredBytes: Float64Array.of(1, 2, 3, 4), reads: Float64Array.of(1, 1, 1, 0.5) }
  const devices = [
    { name: "home", memoryBytes: 0, bandwidthBytesPerSecond: 10, neuronOverheadSeconds: 3, handOffSeconds: 99 },
    { name: "far", memoryBytes: 0, bandwidthBytesPerSecond: 20, handOffSeconds: 7 },
    { name: "idle", memoryBytes: 0, bandwidthBytesPerSecond: 1, handOffSeconds: 50 }
  ]
  const divided = blockSeconds(Uint8Array.of(0, 1, 1, 0), work, devices, 0)
  expect(divided).toEqual({ devices: [(2 * 10 + 5) / 10 + 4.5, (2 * 10 + 5) / 20, 0], handOff: 7, seconds: 14 })
  expect(blockSeconds(Uint8Array.of(0, 0, 0, 0), work, devices, 0)).toEqual({
    devices: [50 / 10 + 3 * 3.5, 0, 0],
    handOff: 0,
    seconds: 15.5
  })
})

describe("predictSpeed()", () => {
  const predict = (plan: PlacementPlan, more: { readonly selection?: Selection; readonly bandwidth?: number } = {}) => {
    const { selection = dense, bandwidth = 1e6 } = more
    return predictSpeed({
      model,
      plan,
      devices: [
        { name: "home", memoryBytes: 0, ...(bandwidth > 0 && { bandwidthBytesPerSecond: bandwidth }) },
        { name: "far", memoryBytes: 0, bandwidthBytesPerSecond: 1e6, handOffSeconds: 1 }
      ],
      frequencies: frequenciesOf(0.25),
      selection,
      predictorBytesPerToken: 1000,
      cacheType: "f16",
      cachePositions: 10
    })
  }
  const alone = () =>
    sharesOf(
      model.blocks.map(() => new Uint8Array(model.shape.ffnWidth)),
      2
    )

  test("of a dense model on one device is all its bytes, KV cache and predictor over the bandwidth", () => {
    const { tokenBytes } = sparsityFacts(model)
    const { cacheBytes } = estimateMemory(model, { contextLength: 10, cacheType: "f16", rowCountMax: 0 })
    const { tokensPerSecond, bytesPerToken } = predict({ home: 0, shares: alone() })!
    expect(bytesPerToken).toBeCloseTo(tokenBytes + cacheBytes + 1000, 6)
    expect(1 / tokensPerSecond).toBeCloseTo((tokenBytes + cacheBytes + 1000) / 1e6, 9)
  })

  test("has the parts of a token add up, and a hand-off for every block that is divided", () => {
    const halves = Uint8Array.from({ length: model.shape.ffnWidth }, (_, neuron) => neuron % 2)
    const divided = predict({
      home: 0,
      shares: sharesOf(
        model.blocks.map(() => halves),
        2
      )
    })!
    const whole = predict({ home: 0, shares: alone() })!
    expect(divided.seconds.handOff).toBe(model.shape.blockCount)
    expect(divided.seconds.ffn).toBeCloseTo(whole.seconds.ffn / 2, 9)
    expect(total(Object.values(divided.seconds))).toBeCloseTo(1 / divided.tokensPerSecond, 9)
  })

  test("is undefined where a device that takes part has no bandwidth", () => {
    expect(predict({ home: 0, shares: alone() }, { bandwidth: 0 })).toBeUndefined()
    const far = sharesOf(
      model.blocks.map(() => new Uint8Array(model.shape.ffnWidth).fill(1)),
      2
    )
    expect(predict({ home: 1, shares: far }, { bandwidth: 0 })).toBeDefined()
  })
})

describe("fitSpeed()", () => {
  const depth = { cacheType: "f16", cachePositions: 20 } as const
  const device = {
    name: "made up",
    memoryBytes: 0,
    bandwidthBytesPerSecond: 2e9,
    neuronOverheadSeconds: 5e-8,
    tokenOverheadSeconds: 3e-4
  }

  /** What such a device would measure. */
  const measured = (selection: Selection, share: number): MeasuredDecode => {
    const shares = sharesOf(
      model.blocks.map(() => new Uint8Array(model.shape.ffnWidth)),
      1
    )
    const { tokensPerSecond } = predictSpeed({
      model,
      plan: { home: 0, shares },
      devices: [device],
      frequencies: frequenciesOf(share),
      selection,
      ...depth
    })!
    const activeShare = selection.confirms ? share : 1
    return { selection, secondsPerToken: 1 / tokensPerSecond, overheadSeconds: 3e-4, activeShare }
  }

  test("gives back the speeds that two runs were made with", () => {
    const fitted = fitSpeed(model, depth, measured(dense, 1), measured(exactGate, 0.2))
    expect(fitted.bandwidthBytesPerSecond / 2e9).toBeCloseTo(1, 9)
    expect(fitted.neuronOverheadSeconds! / 5e-8).toBeCloseTo(1, 6)
    expect(fitted.tokenOverheadSeconds).toBe(3e-4)
  })

  test("does not take noise for neurons that take less than nothing", () => {
    const sparse = measured(exactGate, 0.2)
    const fitted = fitSpeed(model, depth, measured(dense, 1), { ...sparse, secondsPerToken: 3.1e-4 })
    expect(fitted.neuronOverheadSeconds).toBe(0)
  })

  test("says nothing of single neurons without a run that reads them", () => {
    expect(fitSpeed(model, depth, measured(dense, 1)).neuronOverheadSeconds).toBeUndefined()
  })
})
